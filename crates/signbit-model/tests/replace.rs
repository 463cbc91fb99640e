//! What a save does to the place where it writes: links, permissions, pipes, files of others.
#![cfg(unix)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;

use common::small;
use signbit_model::file::{load, replace, save, to_bytes};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().is_symlink()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Links to a file, to a link, out of a folder and to nothing yet: each stays, its target is written.
#[test]
fn links_stay() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("inner")).unwrap();
    fs::write(root.join("target"), b"old").unwrap();
    symlink("target", root.join("link")).unwrap();
    symlink("link", root.join("second")).unwrap();
    symlink("../target", root.join("inner/outwards")).unwrap();
    for link in ["link", "second", "inner/outwards"] {
        fs::write(root.join("target"), b"old").unwrap();
        save(&small(), root.join(link)).unwrap();
        assert!(is_link(&root.join(link)) && !is_link(&root.join("target")), "{link}");
        assert_eq!(load(root.join("target")).unwrap(), small(), "{link}");
    }
    symlink("inner/new", root.join("dangling")).unwrap();
    save(&small(), root.join("dangling")).unwrap();
    assert!(is_link(&root.join("dangling")));
    assert_eq!(load(root.join("inner/new")).unwrap(), small());
    assert_eq!(names(root), ["dangling", "inner", "link", "second", "target"]);
    assert_eq!(names(&root.join("inner")), ["new", "outwards"]);
}

#[test]
fn a_circle_of_links_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    symlink("b", folder.path().join("a")).unwrap();
    symlink("a", folder.path().join("b")).unwrap();
    assert!(save(&small(), folder.path().join("a")).is_err());
    assert_eq!(names(folder.path()), ["a", "b"]);
}

#[test]
fn permissions_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for wanted in [0o600, 0o640, 0o755, 0o444] {
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(wanted)).unwrap();
        save(&small(), &path).unwrap();
        assert_eq!(format!("{:o}", mode(&path)), format!("{wanted:o}"));
        assert_eq!(load(&path).unwrap(), small());
        fs::remove_file(&path).unwrap();
    }
}

/// Through a pipe, and through a link to one, in both directions.
#[test]
fn pipes_are_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink("pipe", &link).unwrap();
    for path in [&pipe, &link] {
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || load(pipe)
        });
        save(&small(), path).unwrap();
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(reader.join().unwrap().unwrap(), small());
    }
    assert!(is_link(&link));
    assert_eq!(names(folder.path()), ["link", "pipe"]);
}

/// What earlier runs have left behind is neither in the way nor removed.
#[test]
fn left_overs_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let process = std::process::id();
    let left_over = |call: usize| folder.path().join(format!(".model.{process}.{call}.tmp"));
    for call in 0..50 {
        fs::write(left_over(call), b"of another run").unwrap();
    }
    replace(&path, b"new").unwrap();
    save(&small(), &path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), to_bytes(&small()).unwrap());
    assert!((0..50).all(|call| fs::read(left_over(call)).is_ok_and(|bytes| bytes == b"of another run")));
    assert_eq!(names(folder.path()).len(), 51);
}
