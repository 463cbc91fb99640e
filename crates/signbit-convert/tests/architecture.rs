//! Architecture files: every mistake has its message.

use signbit_convert::architecture::{Architecture, Kind, Quantizer};

fn message(text: &str) -> String {
    match Architecture::from_toml(text) {
        Err(e) => e.to_string(),
        Ok(_) => panic!("{text:?} is read"),
    }
}

/// A file with one layer of these lines.
fn layer(lines: &str) -> String {
    format!("input = [4, 4, 2]\n[[layer]]\n{lines}\n")
}

#[test]
fn defaults_and_spellings() {
    let read = |lines: &str| Architecture::from_toml(&layer(lines)).unwrap().layers.remove(0);
    let conv = read("type = \"conv2d\"\nid = \"a\"");
    let Kind::Conv2d { name, weights, kernel, stride, padding, pad_value, dilation, groups } = conv.kind else {
        panic!("{conv:?}")
    };
    assert_eq!((conv.id.as_str(), name.as_str(), weights, kernel), ("a", "a", Quantizer::Real, None));
    assert_eq!((stride, padding, pad_value, dilation, groups), ([1, 1], [0; 4], 0.0, [1, 1], 1));
    let paddings = [("1", [1; 4]), ("[1, 2]", [1, 2, 1, 2]), ("[1, 2, 3, 4]", [1, 2, 3, 4])];
    for (text, expected) in paddings {
        let Kind::Pad { padding, .. } = read(&format!("type = \"pad\"\npadding = {text}")).kind else { panic!() };
        assert_eq!(padding, expected);
    }
    assert_eq!(read("type = \"relu\"").id, "relu1");
    assert_eq!(read("type = \"relu\"\nfrom = \"input\"").from, ["input"]);
    let whole = Architecture::from_toml(&format!("sign_of_zero = 1\n{}", layer("type = \"sign\""))).unwrap();
    assert!(whole.sign_of_zero_is_one);
}

#[test]
fn every_mistake_is_told() {
    let cases = [
        ("input = [1, 2", "no TOML: line 1: "),
        ("inputs = [1, 2, 3]\n[[layer]]\ntype = \"relu\"", "`input` is missing; is `inputs` meant for it?"),
        ("input = [1, 2]", "`input` must be [height, width, channels], not [1, 2]"),
        ("input = [1, 0, 2]", "`input` must have 1 to 67108864 elements"),
        ("input = [1000000, 1000000, 1000000]", "`input` must have"),
        ("input = [1, 1, -2]", "`input` must be"),
        ("input = [1, 1, 2]", "`layer` is missing"),
        ("input = [1, 1, 2]\nlayer = 3", "`layer` must be [[layer]] tables, not 3"),
        ("input = [1, 1, 2]\nlayer = []", "1 to 16384 layers, not 0"),
        ("sign_of_zero = 2\ninput = [1, 1, 2]\n[[layer]]\ntype = \"relu\"", "`sign_of_zero` must be 0 or 1"),
        ("width = 2\ninput = [1, 1, 2]\n[[layer]]\ntype = \"relu\"", "there is no key \"width\"; there are input"),
    ];
    for (text, expected) in cases {
        let message = message(text);
        assert!(message.contains(expected) && !message.contains('\n'), "{expected}: {message}");
    }
    let layers = [
        ("name = \"a\"", "layer 1: `type` is missing, one of conv2d, dense"),
        ("type = \"conv2\"", "there is no such type; did you mean \"conv2d\"?"),
        ("type = \"conv2d\"\nstrides = 2", "layer 1 (conv2d): there is no key \"strides\"; did you mean `stride`?"),
        ("type = \"conv2d\"\nstride = \"two\"", "`stride` must be a number or [vertical, horizontal], not \"two\""),
        ("type = \"conv2d\"\nstride = [1, 2, 3]", "`stride` must be"),
        ("type = \"conv2d\"\npadding = -1", "`padding` must be"),
        ("type = \"conv2d\"\npad_value = 0.5", "`pad_value` must be 0, 1 or -1, not 0.5"),
        ("type = \"conv2d\"\nweights = \"signs\"", "`weights` must be \"real\" or \"sign\" or \"scaled_sign\""),
        ("type = \"batch_norm\"\neps = -1", "`eps` must be a number from 0"),
        ("type = \"clip\"\nmin = nan", "`min` must be a number, not nan"),
        ("type = \"clip\"\nmin = 1e300", "`min` must be a number"),
        ("type = \"rprelu\"\nslop = \"a\"\nbias_in = \"b\"", "`slope` is missing; is `slop` meant for it?"),
        ("type = \"max_pool2d\"", "`kernel` is missing"),
        ("type = \"relu\"\nfrom = [\"inptu\"]", "no layer before has the id \"inptu\"; did you mean \"input\"?"),
        ("type = \"relu\"\nfrom = 3", "`from` must be ids of layers before"),
        (
            "type = \"relu\"\n[[layer]]\ntype = \"relu\"\nid = \"relu1\"",
            "layer 2 (relu): another layer before has the id",
        ),
        ("type = \"relu\"\nid = \"input\"", "another layer before has the id \"input\""),
        ("type = 3", "`type` is missing"),
    ];
    for (lines, expected) in layers {
        let message = message(&layer(lines));
        assert!(message.contains(expected) && !message.contains('\n'), "{expected}: {message}");
    }
}

#[test]
fn deep_nesting_ends() {
    let deep = format!("input = {}", "[".repeat(100_000));
    assert!(message(&deep).contains("no TOML"));
}
