//! Models, runs and data from disk, with messages that name the file and what would be right.

use std::path::{Path, PathBuf};

use signbit::Model;
use signbit::model::{FileError, ModelError, Preprocessing};
use signbit_train::checkpoint::{self, Loaded};
use signbit_train::data::{DataOptions, DataSet};
use signbit_train::recipe::Recipe;

use crate::failure::Failure;

/// The most pictures that a command takes through a network at once.
pub(crate) const BATCH: usize = 100;

/// A run's recipe with every value, to train the same again; and the recipe that `init` writes.
pub(crate) const RECIPE: &str = "recipe.toml";

/// Reads a model.
pub(crate) fn model(path: &Path) -> Result<Model, Failure> {
    if path.is_dir() {
        return Err(Failure::path(path, "this is a folder; give the file that `signbit pack RUN -o FILE` writes"));
    }
    Model::load(path).map_err(|error| match error {
        signbit::Error::Model(ModelError::File(FileError::Io { source, .. })) => {
            Failure::path(path, format!("cannot read the model: {source}"))
        }
        error @ signbit::Error::Model(ModelError::File(FileError::Version { .. })) => Failure::path(path, error),
        error => Failure::path(path, format!("not a whole model of signbit: {error}")),
    })
}

/// Reads the checkpoint of a run.
pub(crate) fn run(path: &Path) -> Result<Loaded, Failure> {
    Ok(checkpoint::load(path)?)
}

/// The model of a run, with everything that is known of it: preprocessing, class names and notes.
pub(crate) fn packed(loaded: &Loaded) -> Result<signbit_model::Model, Failure> {
    let header = &loaded.header;
    let mut model = loaded.network.pack()?;
    model.preprocessing = Some(header.preprocessing.clone());
    model.classes.clone_from(&header.classes);
    let accuracy = header.history.last().map_or(0.0, |last| last.test_accuracy);
    let notes = [
        ("recipe", serde_json::to_string(&header.recipe)?),
        ("data", header.data.clone()),
        ("epochs", header.history.len().to_string()),
        ("test accuracy", accuracy.to_string()),
        ("signbit", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    model.notes = notes.map(|(key, note)| (key.to_owned(), note)).into();
    Ok(model)
}

/// The folders in which named data sets are looked for, one after the other: `$SIGNBIT_DATA` where it is set, else
/// `data` and the user's own.
pub(crate) fn data_roots() -> Vec<PathBuf> {
    match std::env::var_os("SIGNBIT_DATA").filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![folder.into()],
        None => {
            let user = directories::ProjectDirs::from("", "", "signbit").map(|dirs| dirs.data_dir().to_owned());
            std::iter::once("data".into()).chain(user).collect()
        }
    }
}

/// A data set by name or path. For a network that is there already its pictures come in the size that it takes.
pub(crate) fn data(
    name: &str,
    options: &DataOptions,
    preprocessing: Option<&Preprocessing>,
) -> Result<DataSet, Failure> {
    let mut options = options.clone();
    if let Some(Preprocessing { channels, height, width, resize, .. }) = preprocessing {
        options.size = [*height, *width];
        options.channels = *channels;
        options.crop = resize.is_some_and(|resize| resize.crop);
    }
    Ok(DataSet::open(name, &options, &data_roots())?)
}

/// A data set for a model, split as its recipe says where it has one.
pub(crate) fn data_of_model(name: &str, model: &signbit_model::Model) -> Result<DataSet, Failure> {
    let recipe = model.notes.get("recipe").and_then(|json| serde_json::from_str::<Recipe>(json).ok());
    let options = recipe.map(|recipe| recipe.data).unwrap_or_default();
    data(name, &options, model.preprocessing.as_ref())
}

/// The path of a file that is to be written names a file. Checked before there is anything to write.
pub(crate) fn check_output(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::path(path, "this is a folder; give the name of a file to write"));
    }
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Failure::path(path, "this has no file name; give the name of a file to write"));
    }
    Ok(())
}

/// The test pictures of a data set have the size that the network takes, no more classes than the network has
/// outputs, and the class names that the network knows, if both have names.
pub(crate) fn check_fit(
    data: &DataSet,
    input: signbit_model::Shape,
    classes: usize,
    names: &[String],
) -> Result<(), Failure> {
    let found = data.test.shape;
    if found != input {
        let message = format!("the pictures of {} are {found}, the network takes {input}", data.name);
        return Err(Failure::input(message + " (height x width x channels)"));
    }
    if data.classes.len() > classes {
        let (name, found) = (&data.name, data.classes.len());
        return Err(Failure::input(format!("{name} has {found} classes, the network {classes} outputs")));
    }
    if data.named
        && let Some(class) = data.classes.iter().zip(names).position(|(data, network)| data != network)
    {
        let (name, of_data, of_network) = (&data.name, &data.classes[class], &names[class]);
        let message = format!("class {class} of {name} is {of_data:?}, of the network {of_network:?}");
        return Err(Failure::input(message + "; it was trained on other classes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same files may be read with names or without.
    #[test]
    fn numbers_in_place_of_names_fit_any_network() {
        let mut data = DataSet::digits().unwrap();
        let names: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
        let fits = |data: &DataSet| check_fit(data, data.test.shape, 10, &names).is_ok();
        assert!(!fits(&data), "digits have names");
        data.named = false;
        assert!(fits(&data));
    }
}
