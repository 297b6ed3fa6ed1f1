//! `balancer explain`: why a client goes where it goes.

use clap::Args;

use super::{
    exit::{Code, Failure},
    parse::{self, Destination, Source},
    table::{Column, Table, Value},
    ui::Ui,
};
use crate::api::{
    client::Client,
    routes,
    types::{ExplainDoc, ExplainQuestion, ExplainRequest},
};

/// Which backend a packet goes to, each step that decides it, and how it gets there.
///
/// The answer comes from the code that the kernel runs. With a source port it is about that flow, if it lives; without, about a new connection of this client.
/// Of a flow that is reset it tells why, when its segments are answered by a RST, and where its client's next connection goes.
/// Asking changes nothing.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The client: 198.51.100.7, 198.51.100.7:40123 or [2001:db8::7]:40123.
    #[arg(value_name = "SRC[:PORT]", value_parser = parse::source)]
    source: Source,

    /// The service address: 203.0.113.10:443/tcp or [2001:db8::10]:443/udp.
    #[arg(value_name = "DST:PORT/PROTO", value_parser = parse::destination)]
    destination: Destination,
}

pub(super) async fn run(args: &ExplainArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let question = ExplainQuestion {
        source: args.source.address,
        source_port: args.source.port,
        destination: args.destination.address.ip(),
        port: args.destination.address.port(),
        proto: args.destination.proto,
    };
    let answers: Vec<ExplainDoc> = client.post(routes::EXPLAIN, &ExplainRequest::One(question)).await?;
    let [document] = &answers[..] else {
        let message = format!("the agent gave {} answers to one question", answers.len());
        return Err(Failure::said(Code::Failed, message));
    };
    Ok(ui.show(document, || vec![facts(document), steps(document)])?)
}

fn facts(document: &ExplainDoc) -> Table {
    let next = document.next_backend.as_ref();
    let facts = [
        Some(("client", Value::from(&document.client))),
        Some(("destination", (&document.destination).into())),
        Some(("service", Value::or_dash(document.service.as_ref()))),
        Some(("backend", Value::or_dash(document.backend.as_ref()))),
        next.map(|next| ("next connection", next.into())),
        Some(("by", (&document.by).into())),
        Some(("reason", (&document.reason).into())),
        Some(("maglev alone", Value::or_dash(document.maglev_backend.as_ref()))),
    ];
    Table::facts(facts.into_iter().flatten())
}

fn steps(document: &ExplainDoc) -> Table {
    let mut table = Table::new(&[Column::text("STEP"), Column::text("DETAIL")]);
    for step in &document.steps {
        table.row([(&step.step).into(), (&step.detail).into()]);
    }
    table
}
