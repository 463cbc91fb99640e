//! The sections on the training: curves, flips and latent weights.

use maud::{Markup, PreEscaped, html};
use signbit_train::checkpoint::EpochRecord;

use super::plot::{Line, Paint, Scale, histogram, lines};
use super::{Facts, page};
use crate::commands::training::mean;
use crate::failure::Failure;

/// A curve and its name in the legend.
pub(super) struct Named {
    name: String,
    class: String,
    line: Line,
}

/// One curve of a plot over epochs.
pub(super) fn curve(
    name: impl Into<String>,
    class: &str,
    paint: Paint,
    history: &[EpochRecord],
    of: impl Fn(&EpochRecord) -> f64,
) -> Named {
    let points = history.iter().map(|record| (f64::from(record.epoch), of(record))).collect();
    Named { name: name.into(), class: class.to_owned(), line: Line { paint, points } }
}

/// A plot with its heading and legend.
pub(super) fn plot(title: &str, y_name: &str, scale: Scale, curves: Vec<Named>) -> Result<Markup, Failure> {
    let (legend, drawn): (Vec<_>, Vec<_>) = curves.into_iter().map(|c| ((c.class, c.name), c.line)).unzip();
    let names: Vec<_> = legend.iter().map(|(_, name)| name.as_str()).collect();
    let svg = lines(&format!("{title} per epoch: {}", names.join(", ")), y_name, scale, &drawn)?;
    Ok(html! {
        figure.card.plot {
            h3 { (title) }
            (PreEscaped(svg))
            ul.legend { @for (class, name) in &legend { li { span class={ "key " (class) } {} (name) } } }
        }
    })
}

/// Accuracy and loss of the network and its twin.
pub(super) fn learning(facts: &Facts<'_>) -> Result<Markup, Failure> {
    let history = &facts.header.history;
    let label = facts.label();
    let mut accuracy = vec![
        curve(format!("{label}, test"), "bits", Paint::BITS, history, |r| r.test_accuracy),
        curve(format!("{label}, training"), "bits dashed", Paint::BITS_TRAIN, history, |r| r.train_accuracy),
    ];
    // A record of an earlier version has no test loss.
    let tested = |history: &[EpochRecord]| history.iter().any(|record| record.test_loss > 0.0);
    let mut loss = Vec::new();
    if tested(history) {
        loss.push(curve(format!("{label}, test"), "bits", Paint::BITS, history, |r| r.test_loss));
    }
    loss.push(curve(format!("{label}, training"), "bits dashed", Paint::BITS_TRAIN, history, |r| r.loss));
    if let Some(twin) = &facts.twin {
        let history = &twin.history;
        accuracy.push(curve("real-valued twin, test", "twin", Paint::TWIN, history, |r| r.test_accuracy));
        accuracy
            .push(curve("real-valued twin, training", "twin dashed", Paint::TWIN_TRAIN, history, |r| r.train_accuracy));
        if tested(history) {
            loss.push(curve("real-valued twin, test", "twin", Paint::TWIN, history, |r| r.test_loss));
        }
        loss.push(curve("real-valued twin, training", "twin dashed", Paint::TWIN_TRAIN, history, |r| r.loss));
    }
    let body = html! {
        div.pair {
            (plot("Accuracy", "right answers", Scale::Shares, accuracy)?)
            (plot("Loss", "mean loss", Scale::Numbers, loss)?)
        }
        @if facts.twin.is_none() && !facts.header.recipe.twin {
            p.note { "No twin was trained; " code { "--twin" } " trains it: the same network in real numbers, which says what the bits cost." }
        }
    };
    Ok(page::section(
        "learning",
        "Learning",
        "Training figures are means over the epoch, while the weights moved.",
        body,
    ))
}

/// How often bits flip and where the latent weights lie.
pub(super) fn latent(facts: &Facts<'_>) -> Result<Markup, Failure> {
    let history = &facts.header.history;
    let seen = |record: &&EpochRecord| record.histogram.iter().sum::<u64>() > 0;
    let (first, last) = (history.iter().find(seen), history.iter().rfind(seen));
    let flips = flips(facts)?;
    let histogram = match (first, last) {
        (Some(first), Some(last)) => Some(latent_histogram(first, last)?),
        _ => None,
    };
    let body = html! {
        @if flips.is_none() && histogram.is_none() {
            p.note { "This run recorded none: neither the bits that flipped nor the histogram of its latent weights." }
        } @else {
            div.pair {
                @if let Some(flips) = flips { (flips) } @else { p.note { "This run recorded no flips." } }
                @if let Some(plot) = histogram { (plot) } @else { p.note { "This run recorded no histogram." } }
                @if let Some(plot) = stuck(history)? { (plot) }
                @if let Some(plot) = gradients(facts)? { (plot) }
            }
        }
    };
    let about = "Behind each binary weight stands a real one. The bit flips where that crosses 0; training is done when few still do.";
    Ok(page::section("latent", "Behind the bits", about, body))
}

fn flips(facts: &Facts<'_>) -> Result<Option<Markup>, Failure> {
    let history: Vec<EpochRecord> = facts.header.history.iter().filter(|r| !r.flips.is_empty()).cloned().collect();
    if history.is_empty() {
        return Ok(None);
    }
    let layers = facts.layers.latent.iter().enumerate().map(|(i, layer)| {
        let of = move |record: &EpochRecord| record.flips.get(i).map_or(f64::NAN, |&share| f64::from(share));
        // A layer has one colour in this plot and in that of the gradients, which has more layers.
        let color = facts.layers.weights.iter().position(|name| name == layer).unwrap_or(i);
        curve(layer.as_str(), &format!("layer{}", color % 8), Paint::layer(color), &history, of)
    });
    plot("Bits that flipped", "share of the layer", Scale::Logarithm, layers.collect()).map(Some)
}

/// Weights that do not move: means over the binary layers.
fn stuck(history: &[EpochRecord]) -> Result<Option<Markup>, Failure> {
    let history: Vec<EpochRecord> = history.iter().filter(|r| !r.saturated.is_empty()).cloned().collect();
    if history.is_empty() {
        return Ok(None);
    }
    let share = |shares: &[f32]| mean(shares).unwrap_or(f64::NAN);
    let curves = vec![
        curve("saturated: at the clip, |w| ≥ 0.99", "layer0", Paint::layer(0), &history, |r| share(&r.saturated)),
        curve("dead: no gradient in the whole epoch", "layer1", Paint::layer(1), &history, |r| share(&r.dead)),
    ];
    plot("Latent weights that do not move", "share of the weights", Scale::Shares, curves).map(Some)
}

/// The gradient's norm by layer, in each epoch's last step.
fn gradients(facts: &Facts<'_>) -> Result<Option<Markup>, Failure> {
    let history: Vec<EpochRecord> = facts.header.history.iter().filter(|r| !r.gradients.is_empty()).cloned().collect();
    if history.is_empty() {
        return Ok(None);
    }
    let layers = facts.layers.weights.iter().enumerate().map(|(i, layer)| {
        let of = move |record: &EpochRecord| record.gradients.get(i).map_or(f64::NAN, |&norm| f64::from(norm));
        curve(layer.as_str(), &format!("layer{}", i % 8), Paint::layer(i), &history, of)
    });
    plot("Gradients, in the epoch's last step", "L2 norm", Scale::Powers, layers.collect()).map(Some)
}

fn latent_histogram(first: &EpochRecord, last: &EpochRecord) -> Result<Markup, Failure> {
    let earlier = (first.epoch < last.epoch).then_some(first.histogram.as_slice());
    let svg = histogram("Histogram of the latent weights", &last.histogram, earlier)?;
    Ok(html! {
        figure.card.plot {
            h3 { "Latent weights" }
            (PreEscaped(svg))
            ul.legend {
                li { span.key.bits.block {} "after epoch " (last.epoch) }
                @if earlier.is_some() { li { span.key.twin {} "after epoch " (first.epoch) } }
            }
        }
    })
}
