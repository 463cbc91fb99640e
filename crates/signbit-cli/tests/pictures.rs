//! From a folder of pictures to predictions of a photo, with the real binary.

mod common;

use common::{Folder, le_bytes, npy, text};
use image::{DynamicImage, Rgb, RgbImage};
use signbit_model::{Resize, ResizeFilter, file, picture};
use signbit_train::data::{DataOptions, DataSet};

/// Noisy pictures of two classes, of every kind and proportion: a `sun` is bright above and dark below, a `night` the
/// other way round.
fn photos(folder: &Folder) {
    for class in ["sun", "night"] {
        std::fs::create_dir_all(folder.path("photos").join(class)).unwrap();
    }
    for i in 0..40 {
        let ending = ["png", "jpg", "bmp", "webp", "JPEG"][i as usize % 5];
        let (width, height) = (20 + 3 * i, 90 - i);
        for class in ["sun", "night"] {
            let pixel = |x, y| {
                let noise = ((x * 7 + y * 13 + i * 5) % 64) as i32 - 32;
                let lit = (2 * y < height) == (class == "sun");
                Rgb([220, 150, 90].map(|v| (if lit { v } else { 255 - v } + noise).clamp(0, 255) as u8))
            };
            let image = DynamicImage::from(RgbImage::from_fn(width, height, pixel));
            image.save(folder.path(&format!("photos/{class}/{i}.{ending}"))).unwrap();
        }
    }
    folder.write("photos/sun/notes.txt", "not a picture");
    folder.write("photos/.DS_Store", "hidden");
}

#[test]
fn from_a_folder_of_photos_to_predictions() {
    let folder = Folder::new();
    photos(&folder);
    folder.run("train mlp --data photos --out r --width 16 --epochs 8 --batch 16");
    folder.run("pack r -o m.signbit");
    let model = file::load(folder.path("m.signbit")).unwrap();
    assert_eq!(model.classes, ["night", "sun"]);
    let preprocessing = model.preprocessing.unwrap();
    let resize = Resize { filter: ResizeFilter::Bilinear, crop: true };
    assert_eq!((preprocessing.resize, preprocessing.channels, preprocessing.height), (Some(resize), 3, 32));

    let verified = folder.json("verify r m.signbit");
    assert_eq!((&verified["identical"], &verified["runs"][0]["pictures"]), (&true.into(), &16.into()), "{verified}");
    let found = folder.json("eval m.signbit --data photos");
    assert_eq!((&found["accuracy"], &found["pictures"]), (&1.0.into(), &16.into()), "{found}");
    for (class, i, ending) in [("sun", 0, "png"), ("night", 1, "jpg"), ("sun", 2, "bmp"), ("night", 3, "webp")] {
        let said = folder.run(&format!("predict m.signbit photos/{class}/{i}.{ending} --top 1"));
        assert!(said.contains(&format!(": {class} (")), "{said}");
    }
    // What a photo scores is what its bytes score that the training saw.
    let name = folder.path("photos");
    let data = DataSet::open(name.to_str().unwrap(), &DataOptions::default(), &[]).unwrap();
    let photo = folder.path("photos/sun/3.webp");
    let bytes = picture::pixels(&picture::open(&photo).unwrap(), preprocessing.shape(), Some(resize)).unwrap();
    let all = [&data.train, &data.test];
    assert!(all.iter().any(|part| (0..part.len()).any(|i| part.picture(i) == bytes)), "the training saw these bytes");
    folder.write("x.npy", npy("|u1", "1, 32, 32, 3", &bytes));
    folder.run("run m.signbit --input x.npy --output y.npy");
    let predicted = folder.json("predict m.signbit photos/sun/3.webp");
    let mut scores = [0.0_f32; 2];
    for p in predicted[0]["predictions"].as_array().unwrap() {
        scores[p["index"].as_u64().unwrap() as usize] = p["score"].as_f64().unwrap() as f32;
    }
    assert!(folder.read("y.npy").ends_with(&le_bytes(&scores)), "{predicted}");
}

#[test]
fn wrong_folders_and_files_are_told_in_one_line() {
    let folder = Folder::new();
    let picture = |path: &str| {
        let path = folder.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::new(1, 1).save(path).unwrap();
    };
    for class in ["a", "b"] {
        for set in ["text", "empty", "good"] {
            picture(&format!("{set}/{class}/0.png"));
            picture(&format!("{set}/{class}/1.png"));
        }
    }
    folder.write("text/b/2.png", "a text");
    std::fs::create_dir(folder.path("empty/c")).unwrap();
    picture("one-class/a/0.png");
    picture("one-picture/a/0.png");
    picture("one-picture/b/0.png");
    picture("flat/0.png");
    std::fs::create_dir(folder.path("cifar")).unwrap();
    folder.write("cifar/data_batch_1.bin", "cut");
    folder.write("text.npz", "a text");
    folder.write("plain.txt", "a text");
    let cases = [
        ("text", "text/b/2.png: cannot read the picture: its content is not PNG"),
        ("empty", "empty/c: the class has no pictures"),
        ("one-class", "one-class: there is one class only"),
        ("one-picture", "one-picture/a: the class has 1 picture"),
        ("flat", "flat: pictures lie in the folder itself"),
        ("cifar", "cifar: the folder has no data_batch_2.bin"),
        ("text.npz", "text.npz: not a whole .npz file"),
        ("plain.txt", "plain.txt: this is a file"),
        ("mnsit", "did you mean mnist?"),
    ];
    for (data, expected) in cases {
        let output = folder.output(&format!("train mlp --data {data} --out new"));
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{data}: {stdout}{stderr}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{expected}: {stderr}");
        assert!(stdout.is_empty() && !folder.path("new").exists(), "{data}: {stdout}");
    }
    // Pictures of one pixel are pictures.
    folder.run("train mlp --data good --out r --width 4 --epochs 1 --batch 2");
}
