//! Plots as SVG inside of the page. Their colours are stand-ins that the page's style replaces, so that they follow
//! the light or dark scheme; a dashed line is one of its own stand-in.

use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::failure::Failure;

/// Width and height of a plot in its own units; the page scales it.
const SIZE: (u32, u32) = (520, 300);
const FONT: u32 = 17;

/// A stand-in: the style gives `#0101NN` its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint(pub(super) u8);

impl Paint {
    /// Axes and their text.
    const INK: Self = Self(0x01);
    /// Lines behind the curves.
    const GRID: Self = Self(0x02);
    /// The binary network on the test pictures; while it was trained.
    pub(super) const BITS: Self = Self(0x11);
    pub(super) const BITS_TRAIN: Self = Self(0x12);
    /// The twin on the test pictures; while it was trained.
    pub(super) const TWIN: Self = Self(0x13);
    pub(super) const TWIN_TRAIN: Self = Self(0x14);

    /// The colour of a layer, one of eight.
    pub(super) fn layer(index: usize) -> Self {
        Self(0x21 + (index % 8) as u8)
    }

    fn color(self) -> RGBColor {
        RGBColor(1, 1, self.0)
    }
}

/// Points that belong together.
pub(super) struct Line {
    pub(super) paint: Paint,
    pub(super) points: Vec<(f64, f64)>,
}

/// How the numbers of the vertical axis stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From the smallest to the largest.
    Numbers,
    /// Shares of 1, written in percent.
    Shares,
    /// Shares of 1 by their logarithm; 0 stands at the bottom.
    Logarithm,
    /// Numbers by their logarithm; 0 stands at the bottom.
    Powers,
}

/// Lines over epochs.
pub(super) fn lines(title: &str, y_name: &str, scale: Scale, lines: &[Line]) -> Result<String, Failure> {
    let all = || lines.iter().flat_map(|line| &line.points).filter(|p| p.1.is_finite());
    let fold =
        |of: fn(f64, f64) -> f64, start: f64, coordinate: fn(&(f64, f64)) -> f64| all().map(coordinate).fold(start, of);
    let last = fold(f64::max, 1.0, |p| p.0);
    // One epoch alone stands in the middle.
    let x = if last > 1.0 { 1.0..last } else { 0.5..1.5 };
    // An axis without length would be divided without end.
    let (low, high) = match all().next() {
        Some(_) => (fold(f64::min, f64::INFINITY, |p| p.1), fold(f64::max, f64::NEG_INFINITY, |p| p.1)),
        None => (0.0, 1.0),
    };
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    match scale {
        Scale::Logarithm | Scale::Powers => {
            let smallest = all().map(|p| p.1).filter(|&y| y > 0.0).fold(0.1, f64::min);
            let floor = 10_f64.powf(smallest.log10().floor()).max(1e-9);
            // NaN stays what it is: no point.
            let above = |y: f64| if y < floor { floor } else { y };
            let raised = |line: &Line| line.points.iter().map(|&(x, y)| (x, above(y))).collect();
            let lines: Vec<Line> = lines.iter().map(|line| Line { paint: line.paint, points: raised(line) }).collect();
            let label: fn(&f64) -> String = if scale == Scale::Logarithm { percent } else { power };
            draw(&area, x, (floor..high.max(10.0 * floor)).log_scale(), y_name, &label, &lines)?;
        }
        Scale::Shares => {
            let room = (0.05 * (high - low)).max(0.005);
            let y = (low - room).max(0.0)..(high + room).min(1.0);
            draw(&area, x, y, y_name, &percent, lines)?;
        }
        Scale::Numbers => {
            let room = (0.05 * (high - low)).max(0.01 * high).max(1e-6);
            draw(&area, x, (low - room).max(0.0)..high + room, y_name, &number, lines)?;
        }
    }
    area.present()?;
    drop(area);
    Ok(framed(&svg, title))
}

/// Lines over learning rates, on a logarithmic axis, and a mark at one of them.
pub(super) fn over_rates(title: &str, lines: &[Line], mark: Option<f64>) -> Result<String, Failure> {
    let all = || lines.iter().flat_map(|line| &line.points);
    let span = |of: fn(&(f64, f64)) -> f64| {
        let numbers = all().map(of);
        numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    // An axis without length would be divided without end.
    let (first, last) = if all().nth(1).is_some() { span(|p| p.0) } else { (1e-3, 1.0) };
    let (low, high) = if all().next().is_some() { span(|p| p.1) } else { (0.0, 1.0) };
    let room = (0.05 * (high - low)).max(0.01 * high).max(1e-6);
    let (low, high) = ((low - room).max(0.0), high + room);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let mut chart = framework(&area).build_cartesian_2d((first..last.max(first * 1.1)).log_scale(), low..high)?;
    let mut mesh = chart.configure_mesh();
    style(&mut mesh);
    mesh.x_labels(6)
        .x_desc("learning rate")
        .y_desc("loss")
        .x_label_formatter(&power)
        .y_label_formatter(&number)
        .draw()?;
    for Line { paint, points } in lines {
        chart.draw_series(LineSeries::new(points.iter().copied(), paint.color().stroke_width(2)))?;
    }
    if let Some(rate) = mark {
        let style = Paint::layer(1).color().stroke_width(2);
        chart.draw_series(LineSeries::new([(rate, low), (rate, high)], style))?;
    }
    drop(chart);
    area.present()?;
    drop(area);
    Ok(framed(&svg, title))
}

/// Bars of a histogram over [-1, 1], and the outline of an earlier one.
pub(super) fn histogram(title: &str, last: &[u64], first: Option<&[u64]>) -> Result<String, Failure> {
    let share = |counts: &[u64]| -> Vec<f64> {
        let sum = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&n| n as f64 / sum).collect()
    };
    let (last, first) = (share(last), first.map(share));
    let high = last.iter().chain(first.iter().flatten()).fold(0.01, |a: f64, &b| a.max(b));
    let edge = |i: usize, bins: usize| 2.0 * i as f64 / bins as f64 - 1.0;
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let mut chart = framework(&area).build_cartesian_2d(-1.0..1.0, 0.0..1.05 * high)?;
    let mut mesh = chart.configure_mesh();
    style(&mut mesh);
    mesh.x_labels(5)
        .x_desc("latent weight")
        .y_desc("share of the weights")
        .y_label_formatter(&|share| percent(share))
        .draw()?;
    chart.draw_series(last.iter().enumerate().map(|(i, &share)| {
        let corners = [(edge(i, last.len()), 0.0), (edge(i + 1, last.len()), share)];
        let mut bar = Rectangle::new(corners, Paint::BITS.color().filled());
        bar.set_margin(0, 0, 1, 0);
        bar
    }))?;
    if let Some(first) = first {
        let bins = first.len();
        let steps =
            first.iter().enumerate().flat_map(|(i, &share)| [(edge(i, bins), share), (edge(i + 1, bins), share)]);
        chart.draw_series(LineSeries::new(steps, Paint::TWIN.color().stroke_width(2)))?;
    }
    drop(chart);
    area.present()?;
    drop(area);
    Ok(framed(&svg, title))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn framework<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(8).margin_right(14).x_label_area_size(48).y_label_area_size(80);
    builder
}

/// Axes and lines as all plots have them.
fn style<X, Y, DB>(mesh: &mut MeshStyle<'_, '_, X, Y, DB>)
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    DB: DrawingBackend,
{
    const INK: RGBColor = RGBColor(1, 1, Paint::INK.0);
    let text = TextStyle::from(("sans-serif", FONT)).color(&INK);
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(Paint::GRID.color())
        .axis_style(Paint::GRID.color())
        .label_style(text.clone())
        .axis_desc_style(text)
        .y_labels(5);
}

fn draw<Y>(
    area: &Area<'_>,
    x: std::ops::Range<f64>,
    y: Y,
    y_name: &str,
    label: &dyn Fn(&f64) -> String,
    lines: &[Line],
) -> Result<(), Failure>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
{
    let epochs = x.end;
    let mut chart = framework(area).build_cartesian_2d(x, y)?;
    let mut mesh = chart.configure_mesh();
    style(&mut mesh);
    mesh.x_labels(if epochs < 6.0 { epochs.ceil() as usize } else { 6 })
        .x_desc("epoch")
        .y_desc(y_name)
        // Half epochs have no label.
        .x_label_formatter(&|x| if x.fract() == 0.0 { format!("{x:.0}") } else { String::new() })
        .y_label_formatter(&label)
        .draw()?;
    for Line { paint, points } in lines {
        let style = paint.color().stroke_width(2);
        chart.draw_series(LineSeries::new(points.iter().copied().filter(|p| p.1.is_finite()), style))?;
        if points.len() < 15 {
            let dot = |&point: &(f64, f64)| Circle::new(point, 3, paint.color().filled());
            chart.draw_series(points.iter().filter(|p| p.1.is_finite()).map(dot))?;
        }
    }
    Ok(())
}

fn percent(share: &f64) -> String {
    match 100.0 * share {
        x if (x - x.round()).abs() < 1e-9 => format!("{x:.0} %"),
        x if x >= 0.1 => format!("{x:.1} %"),
        x => format!("{} %", (x * 1e6).round() / 1e6),
    }
}

fn number(x: &f64) -> String {
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A power of ten, or near one.
fn power(x: &f64) -> String {
    if (1e-3..1e6).contains(x) { number(x) } else { format!("{x:.0e}") }
}

/// Without fixed size and name space, and with a title that is read aloud.
fn framed(svg: &str, title: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let title = maud::html! { title { (title) } }.into_string();
    let (width, height) = SIZE;
    format!("<svg role=\"img\" viewBox=\"0 0 {width} {height}\">{title}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)]) -> Line {
        Line { paint: Paint::BITS, points: points.to_vec() }
    }

    #[test]
    fn a_plot_has_a_title_and_no_address() {
        let svg = lines("a <b>", "loss", Scale::Numbers, &[line(&[(1.0, 0.5), (2.0, 0.25)])]).unwrap();
        assert!(svg.starts_with("<svg role=\"img\"") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("<title>a &lt;b&gt;</title>") && !svg.contains("http"), "{svg}");
        assert!(svg.contains("#010111"), "{svg}");
    }

    #[test]
    fn whatever_the_numbers_there_is_a_plot() {
        for points in [
            vec![(1.0, 0.0)],
            vec![(1.0, 1.0), (2.0, 1.0)],
            vec![(1.0, f64::NAN)],
            vec![(1.0, 0.1), (2.0, 0.1)],
            vec![(1.0, 1e20)],
            vec![],
        ] {
            for scale in [Scale::Numbers, Scale::Shares, Scale::Logarithm, Scale::Powers] {
                let svg = lines("t", "y", scale, &[line(&points)]).unwrap();
                assert!(svg.contains("</svg>"), "{points:?} {scale:?}");
            }
        }
        for points in [vec![], vec![(1e-5, 2.0)], vec![(1e-5, 2.0), (1.0, 2.0)], vec![(1e-5, 0.0), (0.5, 1e20)]] {
            let svg = over_rates("t", &[line(&points)], Some(1e-3)).unwrap();
            assert!(svg.contains("</svg>"), "{points:?}");
        }
        for counts in [vec![0; 40], vec![1; 40], vec![]] {
            assert!(histogram("t", &counts, Some(&counts)).unwrap().contains("</svg>"));
        }
    }

    #[test]
    fn shares_are_short() {
        let found = [0.1 + 0.2 + 0.3, 0.125, 0.00001].map(|x| percent(&x));
        assert_eq!(found, ["60 %", "12.5 %", "0.001 %"]);
    }
}
