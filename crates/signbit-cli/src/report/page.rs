//! The page itself: head, figures, tables, commands, and the frame of its sections.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use signbit_train::recipe::Recipe;

use super::{Facts, again, curves, pictures, seen};
use crate::commands::bench::BASELINE;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::{counted, grouped, percent, short};
use crate::when;

const STYLE: &str = include_str!("style.css");
/// Bits of the banner.
const BANNER: [usize; 2] = [96, 40];

/// The whole page.
pub(super) fn write(facts: &Facts<'_>) -> Result<String, Failure> {
    let title = format!("{} on {}", network(&facts.header.recipe)?, facts.data.name);
    let body = html! {
        (tiles(facts))
        (curves::learning(facts)?)
        (comparison(facts))
        (seen::confusion(facts))
        (seen::wrong(facts)?)
        (seen::filters(facts)?)
        (seen::planes(facts)?)
        (curves::latent(facts)?)
        (sizes(facts))
        (recipe(facts)?)
    };
    Ok(whole(&title, head(facts)?, body, &format!(", {}", machine(facts))))
}

/// A page with its head, style and frame. The footer goes on after the version.
pub(super) fn whole(title: &str, head: Markup, body: Markup, footer: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "signbit " (env!("CARGO_PKG_VERSION")) };
                title { (title) " – signbit" }
                // An empty icon: no request for one.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head)
                main { (body) }
                footer { "signbit " (env!("CARGO_PKG_VERSION")) (footer) }
            }
        }
    };
    page.into_string()
}

/// A section with its heading and a sentence.
pub(super) fn section(id: &str, title: &str, about: &str, body: Markup) -> Markup {
    html! { section id=(id) { h2 { (title) } p.about { (about) } (body) } }
}

/// The name of a recipe's network.
pub(super) fn network(recipe: &Recipe) -> Result<String, Failure> {
    let name = serde_json::to_value(recipe.network)?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}

fn head(facts: &Facts<'_>) -> Result<Markup, Failure> {
    let last = facts.header.history.len() as u64;
    let banner = pictures::banner(facts.model, BANNER[0], BANNER[1])?;
    let shape = facts.header.input;
    Ok(html! {
        header {
            @if let Some(png) = banner { div.banner aria-hidden="true" style={ "background-image:url(" (png.uri) ")" } {} }
            div.inner {
                p.kind { "signbit report" }
                h1 { (network(&facts.header.recipe)?) " on " (facts.data.name) }
                p {
                    "A " (facts.label()) " of width " (facts.header.recipe.width) " for pictures of " (shape.h) "×" (shape.w)
                    @if shape.c > 1 { "×" (shape.c) }
                    " in " (counted(facts.header.classes.len() as u64, "class").replace("classs", "classes"))
                    ", after " (counted(last, "epoch")) " (checkpoint of " time { (when::date(facts.saved)) } ")."
                }
            }
        }
    })
}

fn tiles(facts: &Facts<'_>) -> Markup {
    let accuracy = facts.answers.accuracy();
    let file = facts.size.file_bytes;
    let speeds = &facts.speeds;
    let other = if facts.twin.is_some() { "twin" } else { "the same layers in f32" };
    let tile = |class: &str, name: &str, figure: String, more: Markup| {
        html! { div class={ "tile " (class) } { span.name { (name) } strong { (figure) } span.more { (more) } } }
    };
    html! {
        div.tiles {
            (tile("bits", "test accuracy", percent(accuracy), match &facts.twin {
                Some(twin) => html! { "twin " b { (percent(twin.accuracy)) } ", " (gap(accuracy, twin.accuracy)) },
                None => html! { (grouped(facts.answers.right() as u64)) " of " (grouped(facts.answers.pictures as u64)) },
            }))
            (tile("", "model file", kilobytes(file), html! { (grouped(file)) " bytes" }))
            (tile("", "times smaller", format!("{}×", short(facts.times_smaller())), match &facts.twin {
                Some(twin) => html! { "twin " b { (kilobytes(twin.file_bytes)) } },
                None => html! { "in f32 " b { (kilobytes(facts.size.f32_bytes)) } },
            }))
            (tile("", "times as fast", format!("{}×", short(speeds.ratio)), html! {
                (short(speeds.bits)) " pictures/s, " (other) " " (short(speeds.twin))
            }))
            @if let Some(verified) = &facts.verified {
                (tile("wide", "verify", String::new(), html! { (verified) }))
            }
        }
    }
}

/// The accuracy that the bits cost, in words.
fn gap(bits: f64, twin: f64) -> String {
    format!("gap {:.2} points", 100.0 * (twin - bits))
}

fn kilobytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} kB", short(bytes as f64 / 1e3)),
        _ => format!("{} MB", short(bytes as f64 / 1e6)),
    }
}

/// Accuracy, size and speed beside the twin.
fn comparison(facts: &Facts<'_>) -> Markup {
    let (speeds, size) = (&facts.speeds, &facts.size);
    let (low, high) = (short(speeds.range.0), short(speeds.range.1));
    let accuracy = facts.answers.accuracy();
    let (name, twin_bytes) = match &facts.twin {
        Some(twin) => ("real-valued twin", twin.file_bytes),
        None => ("the same layers in f32", size.f32_bytes),
    };
    let twin_accuracy = facts.twin.as_ref().map(|twin| twin.accuracy);
    let row = |class: &str, name: &str, accuracy: Option<f64>, bytes: u64, rate: f64| {
        html! { tr {
            th scope="row" { span class={ "key block " (class) } {} (name) }
            td.n { (accuracy.map_or_else(|| "not trained".to_owned(), percent)) }
            td.n { (grouped(bytes)) } td.n { (short(rate)) }
        } }
    };
    let body = html! {
        div.card { div.scroll { table.figures {
            thead { tr {
                th scope="col" { "network" } th.n scope="col" { "test accuracy" }
                th.n scope="col" { "bytes" } th.n scope="col" { "pictures/s" }
            } }
            tbody {
                (row("bits", facts.label(), Some(accuracy), size.file_bytes, speeds.bits))
                (row("twin", name, twin_accuracy, twin_bytes, speeds.twin))
                tr.total {
                    th scope="row" { "difference" }
                    td.n { @if let Some(twin) = twin_accuracy { (gap(accuracy, twin)) } @else { "–" } }
                    td.n { (short(facts.times_smaller())) " times smaller" }
                    td.n { (short(speeds.ratio)) " times as fast (" (low) " to " (high) ")" }
                }
            }
        } } }
        p.note {
            "Speed: " (counted(speeds.batch as u64, "picture")) " at once, both in turns, beside " (BASELINE)
            "; a library of real matrix products may be faster. The ratio is the median over the rounds, with its 10th and 90th percentile."
        }
    };
    section("twin", "Beside real numbers", &machine(facts), body)
}

fn sizes(facts: &Facts<'_>) -> Markup {
    let size = &facts.size;
    let cell = |n: u64| html! { td.n { @if n > 0 { (grouped(n)) } } };
    let body = html! {
        div.card { div.scroll { table.figures {
            thead { tr {
                @for name in ["layer", "operator", "output"] { th scope="col" { (name) } }
                @for name in ["1-bit params", "32-bit params", "bytes", "1-bit MACs", "32-bit MACs"] { th.n scope="col" { (name) } }
            } }
            tbody {
                @for node in &size.nodes { tr {
                    th scope="row" { (node.name) } td { (node.op) } td { (node.output) }
                    (cell(node.binary_params)) (cell(node.real_params)) (cell(node.bytes)) (cell(node.binary_macs)) (cell(node.real_macs))
                } }
                tr.total {
                    th scope="row" { "total" } td {} td {}
                    (cell(size.binary_params)) (cell(size.real_params)) (cell(size.packed_bytes + size.real_bytes))
                    (cell(size.binary_macs)) (cell(size.real_macs))
                }
            }
        } } }
    };
    let about = format!(
        "{} bytes packed + {} real + {} header = {} bytes, the length of the file. The same parameters in f32: {} bytes, {:.2} times the file.",
        grouped(size.packed_bytes),
        grouped(size.real_bytes),
        grouped(size.header_bytes),
        grouped(size.file_bytes),
        grouped(size.f32_bytes),
        size.ratio,
    );
    section("layers", "Layer by layer", &about, body)
}

fn recipe(facts: &Facts<'_>) -> Result<Markup, Failure> {
    let twin = facts.twin.as_ref().map(|twin| twin.learning_rate);
    let commands = again::commands(facts.run, facts.header, twin)?;
    let choices = again::choices(&facts.header.recipe)?;
    let body = html! {
        div.card {
            h3 { "To do it again" }
            pre.scroll tabindex="0" { code { @for command in &commands { (command) "\n" } } }
        }
        div.card {
            h3 { "Recipe" }
            dl { @for (name, value) in &choices { div { dt { (name) } dd { @if value.is_empty() { "–" } @else { (value) } } } } }
        }
    };
    Ok(section("again", "Recipe and commands", "Equal seeds give equal weights, whatever the number of threads.", body))
}

/// What it all was measured on.
fn machine(facts: &Facts<'_>) -> String {
    let (isa, threads) = (facts.way.isa.name(), counted(facts.way.threads as u64, "thread"));
    format!("Measured on {}, instruction set {isa}, {threads}.", cpu())
}

/// The processor's name where the system tells it, else its architecture.
fn cpu() -> String {
    Machine::look().cpu.unwrap_or_else(|| format!("a processor of {}", std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!([7, 12_345, 4_000_000].map(kilobytes), ["7 B", "12.3 kB", "4.00 MB"]);
    }
}
