//! The sections with what the network sees and mistakes: confusion, wrong answers, filters, planes.

use maud::{Markup, html};

use super::pictures::{self, Filters, Plane};
use super::{Facts, page};
use crate::failure::Failure;
use crate::output::{counted, grouped, percent};

/// Most classes whose confusion matrix is shown whole.
const MATRIX: usize = 20;
/// Most pairs of classes that are listed.
const PAIRS: usize = 20;
/// Most wrong pictures that are shown.
const WRONG: usize = 24;
/// Pixels that a plane may be enlarged to.
const PLANE: [usize; 2] = [1024, 288];

/// Which classes are taken for which, and how often each is right.
pub(super) fn confusion(facts: &Facts<'_>) -> Markup {
    let answers = &facts.answers;
    let names = &facts.header.classes;
    let classes = 0..answers.confusion.len();
    let body = html! {
        div.pair.confusion {
            @if names.len() <= MATRIX { (matrix(facts)) } @else { (pairs(facts)) }
            div.card {
                h3 { "Right answers of each class" }
                div.bars {
                    @for class in classes {
                        @let (right, all) = answers.of_class(class);
                        @let share = right as f64 / all.max(1) as f64;
                        span.name title=(names[class]) { (names[class]) }
                        span.bar { span style={ "width:" (format!("{:.2}", 100.0 * share)) "%" } {} }
                        span.figure { @if all == 0 { "no picture" } @else { (percent(share)) } }
                    }
                }
            }
        }
    };
    let (right, all) = (grouped(answers.right() as u64), counted(answers.pictures as u64, "test picture"));
    let mut about = format!("The packed network is right on {right} of {all} of {}.", facts.data.name);
    let without = answers.without_class.iter().sum();
    if without > 0 {
        about += &format!(" It gives no number, and so no class, for {}.", counted(without, "picture"));
    }
    page::section("confusion", "Right and wrong", &about, body)
}

fn matrix(facts: &Facts<'_>) -> Markup {
    let names = &facts.header.classes;
    let long = names.iter().any(|name| name.chars().count() > 3);
    html! {
        figure.card {
            h3 { "Confusion matrix" }
            div.scroll {
                table.matrix.long[long] {
                    caption { "Rows: the true class. Columns: what the network says. Shading: share of the row." }
                    thead { tr {
                        td {}
                        @for name in names { th scope="col" title=(name) { span { (name) } } }
                    } }
                    tbody { @for (truth, row) in facts.answers.confusion.iter().enumerate() {
                        @let sum = facts.answers.of_class(truth).1.max(1) as f64;
                        tr {
                            th scope="row" title=(names[truth]) { (names[truth]) }
                            @for (said, &n) in row.iter().enumerate() {
                                // Mistakes are rare: their root makes them visible.
                                @let share = n as f64 / sum;
                                @let shade = if truth == said { share } else { share.sqrt() };
                                td class=(if truth == said { "right" } else { "wrong" })
                                    style={ "--share:" (format!("{:.0}", 100.0 * shade)) "%" }
                                    title={ (names[truth]) " taken for " (names[said]) ": " (n) } {
                                    @if n > 0 { (grouped(n)) }
                                }
                            }
                        }
                    } }
                }
            }
        }
    }
}

fn pairs(facts: &Facts<'_>) -> Markup {
    let names = &facts.header.classes;
    let mistakes = facts.answers.mistakes();
    html! {
        figure.card {
            h3 { "Most confused classes" }
            div.scroll { table.figures {
                thead { tr { th scope="col" { "class" } th scope="col" { "taken for" } th.n scope="col" { "pictures" } } }
                tbody { @for &(truth, said, n) in mistakes.iter().take(PAIRS) {
                    tr { td { (names[truth]) } td { (names[said]) } td.n { (grouped(n)) } }
                } }
            } }
        }
    }
}

/// The pictures on which the network is surest of a wrong answer.
pub(super) fn wrong(facts: &Facts<'_>) -> Result<Markup, Failure> {
    let (names, wrong, test) = (&facts.header.classes, &facts.answers.wrong, &facts.data.test);
    let shown = wrong.iter().take(WRONG).map(|answer| {
        let png = pictures::bytes(test.shape, test.picture(answer.index))?;
        let truth = &names[answer.truth];
        let said = answer.said.map_or("no class", |said| &names[said]);
        let sure = percent(answer.probability.into());
        let alt = format!("test picture {}: {truth}, taken for {said}", answer.index);
        Ok(html! {
            figure.mistake {
                img.pixels src=(png.uri) width="96" height="96" alt=(alt) title=(alt);
                figcaption { span.truth { (truth) } " → " span.said { (said) } span.sure { (sure) } }
            }
        })
    });
    let shown = shown.collect::<Result<Vec<_>, Failure>>()?;
    let about = match wrong.len() {
        0 => "There is no wrong answer on the test pictures.".to_owned(),
        n => format!(
            "{} of {}, the surest first: the true class, what the network says, and how sure it is (softmax).",
            shown.len(),
            counted(n as u64, "wrong answer"),
        ),
    };
    let body = html! { @if !shown.is_empty() { div.mistakes.card { @for picture in &shown { (picture) } } } };
    Ok(page::section("mistakes", "Surely wrong", &about, body))
}

/// Filters of the first layer.
pub(super) fn filters(facts: &Facts<'_>) -> Result<Markup, Failure> {
    let Some(Filters { layer, binary, count, pictures }) = pictures::filters(facts.model)? else {
        return Ok(html! {});
    };
    let kind = if binary { "±1 weights: white is +1, black is -1" } else { "real weights: grey is 0" };
    let about = format!("{} of {} of {layer}; {kind}.", pictures.len(), counted(count as u64, "filter"));
    let body = html! {
        div.filters.card { @for (i, png) in pictures.iter().enumerate() {
            @let alt = format!("filter {i} of {layer}");
            img.pixels src=(png.uri) width="56" height=((56 * png.height).div_ceil(png.width.max(1))) alt=(alt) title=(alt);
        } }
    };
    Ok(page::section("filters", "First layer", &about, body))
}

/// The bits themselves.
pub(super) fn planes(facts: &Facts<'_>) -> Result<Markup, Failure> {
    let planes = pictures::planes(facts.model)?;
    let body = html! {
        @if planes.is_empty() { p.note { "This network has no binary layer." } }
        div.planes { @for plane in &planes { (one_plane(plane)) } }
    };
    let about = "Each pixel is one weight as it stands in the file: a row for each output channel, coloured where the weight is +1.";
    Ok(page::section("planes", "The bits", about, body))
}

fn one_plane(plane: &Plane) -> Markup {
    let Plane { layer, png, rows, columns, ones } = plane;
    // Whole factors keep each bit a square.
    let scale = (PLANE[0] / png.width.max(1)).min(PLANE[1] / png.height.max(1)).max(1);
    let bits = grouped(*rows as u64 * *columns as u64);
    let cropped = png.height < *rows || png.width < *columns;
    html! {
        figure.card.plane {
            h3 { (layer) }
            div.scroll tabindex="0" role="group" aria-label={ "weights of " (layer) } {
                img.pixels src=(png.uri) width=(png.width * scale) height=(png.height * scale)
                    alt={ "packed weights of " (layer) ", " (rows) " rows of " (columns) " bits" };
            }
            figcaption {
                (grouped(*rows as u64)) " × " (grouped(*columns as u64)) " = " (bits) " bits, " (percent(*ones)) " are +1"
                @if cropped {
                    "; cropped to the first " (grouped(png.height as u64)) " rows and " (grouped(png.width as u64)) " bits"
                }
            }
        }
    }
}
