//! How a wait goes on: a bar on a terminal, a line for each change in a pipe.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::{parse::count, ui::Ui};

/// Room for the two characters that a terminal echoes a Ctrl-C by: beyond the last column they would be on a line that
/// nobody clears.
const ECHO: u16 = 2;
/// A bar with fewer columns says nothing.
const SHORTEST: usize = 5;

/// What becomes of the flows that are left.
#[derive(Debug)]
pub(super) enum Then {
    /// They end by themselves.
    End,
    /// At this moment they are reset.
    ResetAt(String),
    /// No agent says so.
    Unheard,
}

impl Then {
    /// For a line that stands until something changes.
    fn line(&self) -> String {
        match self {
            Self::End => String::new(),
            Self::ResetAt(at) => format!("; what is left at {at} is reset"),
            Self::Unheard => "; no agent answers, waiting for one".to_owned(),
        }
    }

    /// For one that is written anew all the time.
    fn now(&self) -> Option<String> {
        match self {
            Self::End => None,
            Self::ResetAt(at) => {
                let left = humantime::parse_rfc3339(at).ok()?.duration_since(SystemTime::now());
                Some(match left {
                    Ok(left) => format!("reset in {}", seconds(left)),
                    Err(_) => "being reset".to_owned(),
                })
            }
            Self::Unheard => Some("no agent answers".to_owned()),
        }
    }
}

/// The flows that are left, as they become fewer.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// The most that were left at once: pinned clients may still bring some.
    most: u64,
    /// The last line in a pipe.
    line: String,
    bar: Option<(ProgressBar, Tape)>,
}

impl Progress {
    pub(super) fn new(ui: &Ui<'_>, left: u64) -> Self {
        let bar = ui.screen.live.map(|columns| {
            let tape = Tape { columns, text: Arc::default() };
            let target = ProgressDrawTarget::term_like(Box::new(tape.clone()));
            (ProgressBar::with_draw_target(Some(left), target), tape)
        });
        Self { began: Instant::now(), most: left, line: String::new(), bar }
    }

    /// Shows how many are left now.
    pub(super) fn show(&mut self, ui: &mut Ui<'_>, left: u64, then: &Then) -> io::Result<()> {
        self.most = self.most.max(left);
        let Some((bar, tape)) = &self.bar else { return self.write(ui, left, then) };
        let template = template(tape.width().into(), [left, self.most], self.began.elapsed(), then);
        // It holds no text of others: a brace would be a key.
        let style = ProgressStyle::with_template(&template).map_err(io::Error::other)?;
        bar.set_style(style.progress_chars("=> "));
        bar.update(|state| {
            state.set_len(self.most);
            state.set_pos(self.most - left);
        });
        tape.copy(ui)
    }

    fn write(&mut self, ui: &mut Ui<'_>, left: u64, then: &Then) -> io::Result<()> {
        let line = format!("{} left{}", count(left, "flow"), then.line());
        if self.line == line {
            return Ok(());
        }
        writeln!(ui.err, "{line}")?;
        self.line = line;
        ui.err.flush()
    }

    /// Takes the bar away, so that what follows begins on a line of its own.
    pub(super) fn clear(&mut self, ui: &mut Ui<'_>) -> io::Result<()> {
        let Some((bar, tape)) = self.bar.take() else { return Ok(()) };
        bar.finish_and_clear();
        tape.copy(ui)
    }
}

/// The line for a terminal with so many columns: what it has no room for is left out.
fn template(width: usize, [left, most]: [u64; 2], waited: Duration, then: &Then) -> String {
    let (waited, then) = (seconds(waited), then.now());
    let both = then.as_ref().map_or_else(|| waited.clone(), |then| format!("{waited}, {then}"));
    let short = format!("{left}/{most}");
    let forms = [
        (format!("{left} of {} left", count(most, "flow")), both.clone()),
        (short.clone(), both),
        (short.clone(), then.unwrap_or(waited)),
    ];
    let fits = |(before, after): &&(String, String)| before.len() + after.len() + 4 + SHORTEST <= width;
    match forms.iter().find(fits) {
        Some((before, after)) => format!("{before} [{{wide_bar}}] {after}"),
        None => short.chars().take(width).collect(),
    }
}

fn seconds(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

/// What the bar writes, until it is copied to where the command speaks.
#[derive(Clone, Debug)]
struct Tape {
    columns: fn() -> u16,
    text: Arc<Mutex<String>>,
}

impl Tape {
    fn text(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, text: &str) -> io::Result<()> {
        self.text().push_str(text);
        Ok(())
    }

    /// A control sequence that counts, if it counts to more than 0: 0 would mean 1.
    fn step(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.push(&format!("\x1b[{n}{direction}")) }
    }

    fn copy(&self, ui: &mut Ui<'_>) -> io::Result<()> {
        ui.err.write_all(std::mem::take(&mut *self.text()).as_bytes())?;
        ui.err.flush()
    }
}

/// Control sequences of ECMA-48.
impl TermLike for Tape {
    fn width(&self) -> u16 {
        (self.columns)().saturating_sub(ECHO).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.step(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.push(text)?;
        self.push("\r\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.push(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
