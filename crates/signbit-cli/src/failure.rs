//! How a command ends when it does not end well, and the exit code of each end.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};

use crate::interrupt;
use crate::output::visible;

/// The name in front of an error, on a terminal.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something given is wrong: one line on stderr, exit code 2.
    Input(String),
    /// The help or the version was asked for, or nothing was: clap's text and exit code.
    Usage(clap::Error),
    /// A check (`verify`, `doctor`) failed and has said so: exit code 1.
    Differs,
    /// The user stopped a training, which has been saved: one line on stderr, exit code 130, as by SIGINT.
    Stopped(String),
    /// Another process of the same training has told why, or will: nothing but the exit code.
    Told(ExitCode),
    /// Nobody reads the output any more: a quiet end with exit code 141, as by SIGPIPE.
    Closed,
}

impl Failure {
    /// Something given is wrong.
    pub(crate) fn input(message: impl Display) -> Self {
        Self::Input(message.to_string())
    }

    /// A file or folder that cannot be worked with.
    pub(crate) fn path(path: &std::path::Path, reason: impl Display) -> Self {
        Self::Input(format!("{}: {reason}", path.display()))
    }

    /// The failure of a write to stdout.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Input(format!("cannot write to the standard output: {error}")),
        }
    }

    /// Tells the user, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Input(message) => {
                let line = visible(&message.split_whitespace().collect::<Vec<_>>().join(" "));
                // Where stderr is closed too there is nobody to tell.
                let _ = writeln!(anstream::stderr(), "{ERROR}signbit:{ERROR:#} {line}");
                ExitCode::from(2)
            }
            Self::Usage(error) => {
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::Stopped(message) => {
                let _ = writeln!(io::stderr(), "signbit: {}", visible(message));
                ExitCode::from(interrupt::CODE)
            }
            Self::Told(code) => *code,
            Self::Differs => ExitCode::from(1),
            Self::Closed => ExitCode::from(141),
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Input(error.to_string())
    }
}
