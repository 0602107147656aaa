//! Progress bars: on stderr, and only where somebody watches it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;

/// How often a bar is drawn, in Hertz.
const RATE: u8 = 10;

/// A bar over `total` things; it draws nothing where stderr is no terminal, nor with `--json`.
pub fn bar(output: Output, what: &'static str, total: u64) -> ProgressBar {
    let target = if output.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(RATE) };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    // The template is constant; should it ever be wrong, the plain bar does.
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:40}] {human_pos}/{human_len}  {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
