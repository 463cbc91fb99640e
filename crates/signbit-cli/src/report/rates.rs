//! The page of `signbit find-rate`: the loss over the learning rate.

use maud::{PreEscaped, html};
use signbit_train::recipe::Recipe;
use signbit_train::trainer::{FoundRate, TriedRate};

use super::page;
use super::plot::{Line, Paint, over_rates};
use crate::failure::Failure;

/// The page.
pub(crate) fn write(recipe: &Recipe, data: &str, found: &FoundRate) -> Result<String, Failure> {
    let title = format!("{} on {data}", page::network(recipe)?);
    let points = |of: fn(&TriedRate) -> f64| found.tried.iter().map(|t| (f64::from(t.rate), of(t))).collect();
    let steps = Line { paint: Paint::TWIN, points: points(|t| t.loss) };
    let smooth = Line { paint: Paint::BITS, points: points(|t| t.smooth) };
    let svg = over_rates("Loss over the learning rate", &[steps, smooth], found.suggested().map(f64::from))?;
    let head = html! {
        header { div.inner {
            p.kind { "signbit find-rate" }
            h1 { (title) }
            p { @match found.suggested() {
                Some(rate) => { "Suggested learning rate: " b { (format!("{rate:.1e}")) } "." }
                None => { "The loss fell nowhere." }
            } }
        } }
    };
    let body = html! { figure.card.plot.alone {
        h3 { "Loss over the learning rate" }
        (PreEscaped(svg))
        ul.legend {
            li { span.key.bits {} "running mean" }
            li { span.key.twin {} "each step" }
            @if found.range.is_some() { li { span.key.layer1 {} "suggested rate" } }
        }
    } };
    let about = "One short training whose rate rises from step to step (the range test of Smith 2017, arXiv 1506.01186). Too \
                 low a rate changes nothing, too high a rate makes the loss rise. The suggestion lies half-way, by logarithm, between \
                 the rate at which the running mean falls fastest and the one at which it is lowest.";
    Ok(page::whole(&title, head, page::section("rates", "Rates", about, body), ""))
}
