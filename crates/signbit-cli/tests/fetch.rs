//! `signbit data`: homes and mirrors that are right, wrong, silent or half-way; through the real command.

mod common;

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Folder, text};

/// How a server answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Whole files, and parts where parts are asked for.
    Good,
    /// Whole files, whatever is asked for.
    NoRange,
    /// Announces all, ends the connection half-way; the second time it is good.
    StopsOnce,
}

/// A request: its path and its Range.
type Asked = (String, Option<String>);

/// A server of files, given by a function, on this machine.
struct Server {
    url: String,
    /// All requests so far.
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(manner: Manner, file: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let served = AtomicUsize::new(0);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = answer(stream.unwrap(), manner, &file, &log, &served);
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    manner: Manner,
    file: &impl Fn(&str) -> Option<Vec<u8>>,
    log: &Mutex<Vec<Asked>>,
    served: &AtomicUsize,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap()?;
    let name = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let mut range = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((key, value)) = line.split_once(": ")
            && key.eq_ignore_ascii_case("range")
        {
            range = Some(value.to_owned());
        }
    }
    log.lock().unwrap().push((name.clone(), range.clone()));
    let Some(bytes) = file(&name) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let from = range.filter(|_| manner != Manner::NoRange);
    let from = from.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let body = &bytes[from.unwrap_or(0)..];
    let status = match from {
        Some(from) => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
        None => "200 OK".to_owned(),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    let stops = manner == Manner::StopsOnce && served.fetch_add(1, Ordering::Relaxed) == 0;
    stream.write_all(if stops { &body[..body.len() / 2] } else { body })
}

/// The command, without the proxies of this machine.
fn output(folder: &Folder, words: &str) -> Output {
    let mut command = folder.command(words);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("SIGNBIT_DATA").output().unwrap()
}

/// The one line of a command that must fail.
fn failure(folder: &Folder, words: &str) -> String {
    let output = output(folder, words);
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(2), "{words}: {stdout}{stderr}");
    assert!(stdout.is_empty() && stderr.lines().count() == 1, "{words}: {stdout}{stderr}");
    stderr
}

fn success(folder: &Folder, words: &str) -> String {
    let output = output(folder, words);
    let (stdout, stderr) = text(&output);
    assert!(output.status.success() && stderr.is_empty(), "{words}: {stdout}{stderr}");
    stdout
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A real set in the project's `data`, if it is there with raw files.
fn real(set: &str, file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data").join(set);
    if !path.join(file).is_file() {
        println!("skipped: {} is not there (scripts/get-data {set})", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn what_is_wrong_is_one_line_and_leaves_nothing() {
    let folder = Folder::new();
    let wrong = Server::new(Manner::Good, |_| Some(b"not a digit".to_vec()));
    let none = Server::new(Manner::Good, |_| None);
    let large = Server::new(Manner::Good, |_| Some(vec![7; 49 << 20]));
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    folder.write("file", "a text");
    fs::create_dir(folder.path("empty")).unwrap();
    let cases = [
        ("mnits".to_owned(), "did you mean mnist?"),
        ("mnist --from nowhere".into(), "nowhere: no such folder or archive"),
        ("mnist --from ftp://host/".into(), "http or https"),
        ("mnist --from file".into(), "not a whole tar archive"),
        ("mnist --from empty".into(), "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz"),
        (
            format!("mnist --from {}", wrong.url),
            "wanted is ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        (format!("cifar10 --from {}a.tgz", wrong.url), "not a whole tar archive"),
        (format!("mnist --from {}", none.url), "train-images-idx3-ubyte: the server says 404"),
        (format!("mnist --from {}", large.url), "too many"),
        (format!("mnist --from {refused}"), "refused"),
        ("mnist --from empty --dir file".into(), "cannot make this folder"),
    ];
    for (words, expected) in cases {
        let words = format!("data fetch {words}");
        let words = if words.contains("--dir") { words } else { words + " --dir d" };
        let line = failure(&folder, &words);
        assert!(line.contains(expected), "{words}: {line}");
        assert_eq!(names(&folder.path("")), ["empty", "file"], "{words}");
    }
}

#[test]
fn homes_out_of_reach_have_a_line_each() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut command = folder.command("data fetch mnist --dir d");
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, &proxy).env(name.to_uppercase(), &proxy);
    }
    let output = command.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let (stdout, stderr) = text(&output);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    assert!(
        lines[0].contains("googleapis") && lines[1].contains("amazonaws") && lines[2].contains("--from"),
        "{stderr}"
    );
    assert!(!folder.path("d").exists());
}

#[test]
fn a_stopped_download_is_kept_and_goes_on() {
    let folder = Folder::new();
    let server = Server::new(Manner::StopsOnce, |_| Some(b"0123456789".repeat(1000)));
    let words = format!("data fetch mnist --from {} --dir d", server.url);
    let line = failure(&folder, &words);
    assert!(line.contains("5,000 of 10,000 bytes") && line.contains("the same command goes on"), "{line}");
    assert_eq!(names(&folder.path("d/mnist")), ["train-images-idx3-ubyte.gz.part"]);
    // It goes on with the rest, which is no MNIST; since the parts could be of two sources, it then begins anew.
    let line = failure(&folder, &words);
    assert!(line.contains("SHA-256"), "{line}");
    let ranges: Vec<_> = server.asked().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some("bytes=5000-".to_owned()), None]);
}

#[test]
fn files_that_are_there_are_not_overwritten_unasked() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("d/mnist")).unwrap();
    folder.write("d/mnist/train-images-idx3-ubyte", "my own");
    let server = Server::new(Manner::Good, |_| Some(b"wrong".to_vec()));
    let line = failure(&folder, &format!("data fetch mnist --from {} --dir d", server.url));
    assert!(line.contains("--force"), "{line}");
    let line = failure(&folder, &format!("data fetch mnist --from {} --dir d --force", server.url));
    assert!(line.contains("SHA-256"), "{line}");
    assert_eq!(folder.read("d/mnist/train-images-idx3-ubyte"), b"my own");
    assert_eq!(names(&folder.path("d/mnist")), ["train-images-idx3-ubyte"]);
}

#[test]
fn a_real_set_comes_from_servers_of_each_manner() {
    let Some(path) = real("mnist", "train-images-idx3-ubyte") else { return };
    for manner in [Manner::Good, Manner::NoRange, Manner::StopsOnce] {
        let folder = Folder::new();
        let source = path.clone();
        let server = Server::new(manner, move |name| fs::read(source.join(name)).ok());
        let words = format!("data fetch mnist --from {} --dir d", server.url);
        match manner {
            Manner::StopsOnce => assert!(failure(&folder, &words).contains("23,520,008 of 47,040,016 bytes")),
            Manner::NoRange => {
                fs::create_dir_all(folder.path("d/mnist")).unwrap();
                folder.write("d/mnist/train-images-idx3-ubyte.part", "of another file");
            }
            Manner::Good => {}
        }
        let said = success(&folder, &words);
        assert!(said.contains("4 files"), "{said}");
        if manner == Manner::StopsOnce {
            let resumed = Some("bytes=23520008-".to_owned());
            assert!(server.asked().contains(&("train-images-idx3-ubyte".into(), resumed)));
        }
        assert_eq!(names(&folder.path("d/mnist")).len(), 4);
        assert_eq!(
            folder.read("d/mnist/t10k-labels-idx1-ubyte"),
            fs::read(path.join("t10k-labels-idx1-ubyte")).unwrap()
        );
        let asked = server.asked().len();
        assert!(success(&folder, &words).contains("there already"));
        assert_eq!(server.asked().len(), asked);
    }
}

#[test]
fn info_counts_the_classes_and_draws_the_sheet() {
    let folder = Folder::new();
    let said = success(&folder, "data info digits --sheet s.png");
    for part in ["class", "share", "8x8x1", "balance:", "s.png"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let sheet = image::open(folder.path("s.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (12 * 68 + 4, 10 * 68 + 4));
    let info = folder.json("data info digits");
    let classes = info["classes"].as_array().unwrap();
    let sum: u64 = classes.iter().map(|class| class["train"].as_u64().unwrap()).sum();
    assert_eq!((classes.len(), sum), (10, info["train"].as_u64().unwrap()));
    assert!(failure(&folder, "data info digits --sheet s.gif").contains(".png"));
}

/// With a recipe, each row is the class's first picture and its changes; without any, it is the plain sheet.
#[test]
fn the_sheet_shows_what_a_recipe_does_to_pictures() {
    let folder = Folder::new();
    success(&folder, "data info digits --sheet plain.png");
    success(&folder, "data info digits --sheet none.png --recipe mlp");
    fs::write(folder.path("r.toml"), "network = \"mlp\"\n[augmentation]\nshift = 2\nzoom = 0.5\n").unwrap();
    success(&folder, "data info digits --sheet changed.png --recipe r.toml");
    let [plain, none, changed] =
        ["plain.png", "none.png", "changed.png"].map(|name| image::open(folder.path(name)).unwrap().to_rgb8());
    assert_eq!(plain, none);
    let picture =
        |sheet: &image::RgbImage, column: u32| image::imageops::crop_imm(sheet, 4 + column * 68, 4, 64, 64).to_image();
    assert_eq!(picture(&plain, 0), picture(&changed, 0));
    let different: HashSet<Vec<u8>> = (0..12).map(|column| picture(&changed, column).into_raw()).collect();
    assert!(different.len() > 9, "{} of 12", different.len());
    assert!(failure(&folder, "data info digits --recipe none.toml").contains("cannot read the recipe"));
}
