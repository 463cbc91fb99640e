//! The plots of the book's page on quantizers are what the code computes, and the page names every quantizer.
//!
//! `SIGNBIT_UPDATE=1 cargo test -p signbit-cli --test quantizers` draws them anew.

use std::path::PathBuf;
use std::sync::Arc;

use plotters::prelude::*;
use signbit_train::quantizer::{NAMES, Quantizer, by_name};

type Failed = Box<dyn std::error::Error>;

const SIZE: (u32, u32) = (580, 210);
const INK: RGBColor = RGBColor(128, 128, 128);
const FORWARD: RGBColor = RGBColor(47, 111, 179);
const BACKWARD: RGBColor = RGBColor(192, 57, 43);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/quantizers")
}

/// The quantizer, and where it changes what it is at the beginning, in the middle and at the end of a training.
fn stages(name: &str) -> Vec<Arc<dyn Quantizer>> {
    let quantizer = by_name(name).expect("a name of the list");
    let stages: Vec<_> = [0.0, 0.5, 1.0].iter().filter_map(|&progress| quantizer.at(progress)).collect();
    if stages.is_empty() { vec![quantizer] } else { stages }
}

/// Left the forward values and the surrogate, right its derivative.
fn plot(name: &str) -> Result<String, Failed> {
    let x: Vec<f32> = (-200..=200).map(|i| i as f32 / 100.0).collect();
    let line = |f: &dyn Fn(f32) -> f32| x.iter().map(|&x| (x, f(x))).collect::<Vec<_>>();
    let stages = stages(name);
    // An earlier stage is fainter.
    let shade = |i: usize| 1.0 - 0.35 * (stages.len() - 1 - i) as f64;
    let highest = stages.iter().flat_map(|q| x.iter().map(|&x| q.derivative(x))).fold(1.0f32, f32::max);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    for (part, (title, range)) in area.split_evenly((1, 2)).iter().zip([
        ("forward (grey) and surrogate", -1.6f32..1.6f32),
        ("derivative of the surrogate", -0.1 * highest..1.15 * highest),
    ]) {
        let text = |size: i32| TextStyle::from(("sans-serif", size)).color(&INK);
        let mut chart = ChartBuilder::on(part)
            .margin(6)
            .margin_right(12)
            .x_label_area_size(26)
            .y_label_area_size(38)
            .caption(title, text(16))
            .build_cartesian_2d(-2.0f32..2.0, range)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh().axis_style(INK.mix(0.5)).label_style(text(14)).x_labels(5).y_labels(5).draw()?;
        let forward = title.starts_with("forward");
        if forward {
            let value = line(&|x| stages[0].value(x));
            chart.draw_series(LineSeries::new(value, INK.mix(0.7).stroke_width(2)))?;
        }
        for (i, q) in stages.iter().enumerate() {
            let (line, color) = match forward {
                true => (line(&|x| q.surrogate(x)), FORWARD),
                false => (line(&|x| q.derivative(x)), BACKWARD),
            };
            let inside = line.into_iter().filter(|(_, y)| !forward || y.abs() <= 1.6);
            chart.draw_series(LineSeries::new(inside, color.mix(shade(i)).stroke_width(2)))?;
        }
    }
    area.present()?;
    drop(area);
    Ok(svg)
}

#[test]
fn the_plots_are_current() -> Result<(), Failed> {
    let mut stale = Vec::new();
    for name in NAMES {
        let (path, svg) = (folder().join(format!("{name}.svg")), plot(name)?);
        if std::env::var_os("SIGNBIT_UPDATE").is_some() {
            std::fs::create_dir_all(folder())?;
            std::fs::write(&path, &svg)?;
        }
        if std::fs::read_to_string(&path).is_ok_and(|text| text == svg) {
            continue;
        }
        stale.push(name);
    }
    assert!(stale.is_empty(), "{stale:?}: run SIGNBIT_UPDATE=1 cargo test -p signbit-cli --test quantizers");
    Ok(())
}

#[test]
fn the_page_shows_every_quantizer() -> Result<(), Failed> {
    let page = std::fs::read_to_string(folder().with_extension("md"))?;
    let shown =
        |name: &str| page.contains(&format!("## {name}\n")) && page.contains(&format!("](quantizers/{name}.svg)"));
    let missing: Vec<_> = NAMES.iter().filter(|name| !shown(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    Ok(())
}
