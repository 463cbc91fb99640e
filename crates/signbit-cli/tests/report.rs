//! The report page: what stands in it, and that a browser shows it without complaint.

mod common;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use common::{Folder, check_html, text};
use signbit_train::checkpoint::{self, HISTOGRAM_BINS};

/// Sections of every report.
const SECTIONS: [&str; 9] =
    ["learning", "twin", "confusion", "mistakes", "filters", "planes", "latent", "layers", "again"];

fn trained(network: &str, width: u32, twin: &str) -> Folder {
    let folder = Folder::new();
    folder.run(&format!(
        "train {network} --data digits --out r --width {width} --epochs 2 --threads 2 --no-report {twin}"
    ));
    folder
}

fn page(folder: &Folder) -> String {
    String::from_utf8(folder.read("r/report.html")).unwrap()
}

/// Writes flips and histograms into a run's records.
fn record_latents(folder: &Folder) {
    let mut loaded = checkpoint::load(&folder.path("r")).unwrap();
    for record in &mut loaded.header.history {
        record.flips = vec![0.1 / record.epoch as f32; 8];
        record.histogram = (0..HISTOGRAM_BINS as u64).collect();
        record.test_loss = 1.0;
    }
    checkpoint::save(&folder.path("r"), &loaded.header, &loaded.network, &*loaded.optimizer).unwrap();
}

/// The page is whole, and has every section.
fn check_report(page: &str) {
    check_html(page);
    let ids: Vec<_> = SECTIONS.iter().filter(|id| !page.contains(&format!("<section id=\"{id}\">"))).collect();
    assert!(ids.is_empty(), "missing sections: {ids:?}");
}

#[test]
fn a_report_with_a_twin() {
    let folder = trained("small-cnn", 4, "--twin");
    let found = folder.json("report r --seconds 0.01 --threads 2");
    let metrics = String::from_utf8(folder.read("r/metrics.csv")).unwrap();
    let accuracy: f64 = metrics.lines().nth(2).unwrap().split(',').nth(4).unwrap().parse().unwrap();
    assert_eq!((found["accuracy"].as_f64(), found["pictures"].as_u64()), (Some(accuracy), Some(359)), "{found}");
    assert!(found["twin_accuracy"].is_f64() && found["times_as_fast"].as_f64().unwrap() > 0.0, "{found}");
    let bytes = folder.json("summary r")["file_bytes"].clone();
    assert_eq!(found["file_bytes"], bytes);
    let page = page(&folder);
    check_report(&page);
    for words in ["real-valued twin, test", "Confusion matrix", "filter 3 of conv1"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(
        !page.contains("No twin was trained")
            && !page.contains("This run recorded none")
            && !page.contains("identical"),
        "claims what was not done"
    );
    for layer in ["conv2", "conv3", "conv4", "dense5"] {
        assert!(page.contains(&format!("packed weights of {layer}, ")), "{layer}");
    }
}

/// The command on the page trains the same weights.
#[test]
fn the_commands_repeat_the_run() {
    let folder = trained("mlp", 16, "");
    folder.run("report r --seconds 0.01 --threads 2 -o page.html");
    let page = String::from_utf8(folder.read("page.html")).unwrap();
    check_report(&page);
    assert!(page.contains("No twin was trained") && page.contains("filter 15 of dense1"));
    let line = page.split_once("signbit train ").unwrap().1.lines().next().unwrap();
    folder.run(&format!("train {line}"));
    assert!(folder.read("again/checkpoint.safetensors") == folder.read("r/checkpoint.safetensors"), "{line}");
}

#[test]
fn names_are_no_markup() {
    let folder = trained("mlp", 4, "");
    let mut loaded = checkpoint::load(&folder.path("r")).unwrap();
    loaded.header.data = "<img src=x onerror=alert(1)>".into();
    checkpoint::save(&folder.path("r"), &loaded.header, &loaded.network, &*loaded.optimizer).unwrap();
    let output = folder.output("report r");
    let (_, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--data") && stderr.lines().count() == 1, "{stderr}");
    assert!(!folder.path("r/report.html").exists());
    folder.run("report r --data digits --seconds 0.01");
    let page = page(&folder);
    check_report(&page);
    assert!(page.contains("&lt;img src=x") && !page.contains("<img src=x"));
}

#[test]
fn what_is_no_run_is_told_in_one_line() {
    let folder = Folder::new();
    folder.write("file", "no run");
    for words in ["report absent", "report file", "report . -o x.html"] {
        let output = folder.output(words);
        let (stdout, stderr) = text(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{words}: {stderr}");
        assert!(stderr.contains("not a training run"), "{words}: {stderr}");
    }
}

/// What a page says of itself in the browser, for the page around it.
const PROBE: &str = "<script>addEventListener('load', () => {
  const images = [...document.images], root = document.documentElement;
  parent.postMessage({
    broken: images.filter(i => !i.complete || i.naturalWidth === 0).length, images: images.length,
    window: innerWidth, content: root.scrollWidth, ink: getComputedStyle(document.body).color,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
  }, '*');
});</script>";

/// The page around it, as wide as is asked (a window of the browser is never narrower than 500 pixels). It writes
/// what it is told into its root element.
const FRAME: &str = "<!DOCTYPE html><html style='color-scheme: light dark'><body><script>
  addEventListener('message', ({ data }) => Object.assign(document.documentElement.dataset, data));
</script><iframe src='PAGE' style='border: 0; width: WIDTHpx; height: 900px'></iframe></body></html>";

/// Opens a page; gives the probe's attributes and what came to the console.
fn browse(folder: &Folder, page: &str, width: u32, dark: bool) -> Option<(BTreeMap<String, String>, Vec<String>)> {
    let (before, after) = page.rsplit_once("</body>").unwrap();
    folder.write("probed.html", format!("{before}{PROBE}</body>{after}"));
    folder.write("frame.html", FRAME.replace("PAGE", "probed.html").replace("WIDTH", &width.to_string()));
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom"])
        .args(["--no-first-run", "--disable-extensions", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--window-size=1400,1000")
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("file://{}", folder.path("frame.html").display()))
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        println!("skipped: chromium is not installed");
        return None;
    };
    let (dom, stderr) = text(&output);
    assert!(output.status.success(), "{stderr}");
    let root = dom.split_once("<html").unwrap_or_else(|| panic!("no page: {stderr}")).1.split_once('>').unwrap().0;
    let attributes = root.split(" data-").skip(1).map(|attribute| {
        let (name, value) = attribute.split_once("=\"").unwrap();
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    let console = stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
    Some((attributes.collect(), console.collect()))
}

#[test]
fn a_browser_shows_it() {
    let folder = trained("small-cnn", 4, "--twin");
    record_latents(&folder);
    folder.run("report r --seconds 0.01 --threads 2");
    let page = page(&folder);
    check_report(&page);
    assert!(page.contains("Bits that flipped") && page.contains("after epoch 2"));
    for (width, dark) in [(400, false), (1280, true), (400, true), (1280, false)] {
        let Some((found, console)) = browse(&folder, &page, width, dark) else { return };
        assert!(console.is_empty(), "{console:?}");
        let number = |name: &str| found[name].parse::<u32>().unwrap();
        assert_eq!((number("broken"), number("images")), (0, page.matches("<img").count() as u32), "{found:?}");
        assert_eq!((number("window"), found["dark"] == "true"), (width, dark), "{found:?}");
        assert!(number("content") <= width, "the page overflows: {found:?}");
        assert_eq!(found["ink"], if dark { "rgb(230, 235, 244)" } else { "rgb(23, 32, 47)" });
    }
}

/// The browser test finds what it looks for.
#[test]
fn a_bad_page_is_found_out() {
    let folder = Folder::new();
    let bad = "<!DOCTYPE html><html><body><div style='width:3000px'>wide</div><img src='data:image/png;base64,AAAA'>\
               <script>console.error('out of bits'); nothing();</script></body></html>";
    let Some((found, console)) = browse(&folder, bad, 400, false) else { return };
    assert!(console.iter().any(|line| line.contains("out of bits")), "{console:?}");
    assert!(console.iter().any(|line| line.contains("ReferenceError")), "{console:?}");
    assert_eq!(found["broken"], "1");
    assert!(found["content"].parse::<u32>().unwrap() >= 3000, "{found:?}");
}
