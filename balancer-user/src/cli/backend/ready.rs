//! `balancer backend ready`.

use balancer_common::state::Admin;

use super::Target;
use crate::{
    api::{client::Client, types::SetAdmin},
    cli::{exit::Failure, ui::Ui},
};

pub(super) async fn run(target: &Target, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let request = SetAdmin::to(Admin::Ready);
    super::report(&target.set_admin(client, request).await?, ui)
}
