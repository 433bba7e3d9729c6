//! Where the running Belay is: what the command line says, else what its data directory says, else the default.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base::{Error, codes};
use clap::Args;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::Failure;
use crate::config::Address;
use crate::serve::{ENDPOINTS_FILE, Endpoints};

const DATA_DIR: &str = ".belay";

#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    /// Where its runtime API listens: host:port or unix:/path. Default: what the data directory says, else 127.0.0.1:34904.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_ADDRESS")]
    address: Option<Target>,
    /// The data directory of the Belay that is meant. Default: .belay.
    #[arg(long, value_name = "FOLDER", env = "BELAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

/// A listener of a Belay, with the name and the address that it has unless something else is said.
#[derive(Clone, Copy, Debug)]
struct Listener {
    name: &'static str,
    host: &'static str,
    port: u16,
}

const LAYOTTO: Listener = Listener {
    name: "layotto",
    host: "127.0.0.1",
    port: 34904,
};
const CONTROL: Listener = Listener {
    name: "control",
    host: "127.0.0.1",
    port: 5679,
};
const ADMIN: Listener = Listener {
    name: "admin",
    host: "127.0.0.1",
    port: 9070,
};

impl Arguments {
    /// Where its runtime API is.
    pub(super) fn layotto(&self) -> Result<Place, Failure> {
        if let Some(target) = &self.address {
            return Ok(Place::named(target, "--address or BELAY_ADDRESS"));
        }
        self.of_data_dir(LAYOTTO)
    }

    /// Where its administration is. `Err` also when it cannot be known because somebody has named another listener alone.
    pub(super) fn admin(&self, named: Option<&Target>) -> Result<Place, Failure> {
        if let Some(target) = named {
            return Ok(Place::named(target, "--admin or BELAY_ADMIN_ADDRESS"));
        }
        if self.address.is_some() {
            return Err(Error::new(codes::NOT_RUNNING, "its admin listener is not known").into());
        }
        self.of_data_dir(ADMIN)
    }

    /// Where the control API of its primitives is.
    pub(super) fn control(&self, named: Option<&Target>) -> Result<Place, Failure> {
        match named {
            Some(target) => Ok(Place::named(target, "--control or BELAY_CONTROL_ADDRESS")),
            None => self.of_data_dir(CONTROL),
        }
    }

    /// What the running Belay says about itself, unless an address was named: that may be another one's.
    pub(super) fn endpoints(&self) -> Option<Endpoints> {
        let data_dir = self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR));
        let unnamed = self.address.is_none();
        unnamed.then(|| Endpoints::read(data_dir).ok()).flatten()
    }

    /// A folder that was named must hold the answer: the default address could be another Belay's.
    fn of_data_dir(&self, listener: Listener) -> Result<Place, Failure> {
        let data_dir = self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR));
        let file = data_dir.join(ENDPOINTS_FILE);
        match Endpoints::read(data_dir) {
            Ok(endpoints) => listener.of(&endpoints, &file),
            Err(error) if self.data_dir.is_some() || file.exists() => Err(error.into()),
            Err(_) => Ok(listener.by_default()),
        }
    }
}

impl Listener {
    fn of(self, endpoints: &Endpoints, file: &Path) -> Result<Place, Failure> {
        let found = format!("{}, process {}", file.display(), endpoints.pid);
        let Some(address) = endpoints.addresses.get(self.name) else {
            let message = format!("that belay does not listen for {} ({found})", self.name);
            return Err(Error::new(codes::NOT_RUNNING, message).into());
        };
        match address.parse() {
            Ok(target) => Ok(Place { target, found }),
            Err(reason) => {
                let message = format!("{address} is no address ({found}): {reason}");
                Err(Error::new(codes::NOT_RUNNING, message).into())
            }
        }
    }

    fn by_default(self) -> Place {
        let target = Target::Tcp {
            host: self.host.to_owned(),
            port: self.port,
        };
        Place {
            target,
            found: "the default".to_owned(),
        }
    }
}

/// One listener of a running Belay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) target: Target,
    /// Why it is thought to be there, for messages: `.belay/endpoints.json, process 4711`.
    pub(super) found: String,
}

impl Place {
    fn named(target: &Target, by: &str) -> Place {
        Place {
            target: target.clone(),
            found: by.to_owned(),
        }
    }
}

/// What can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        match text.parse()? {
            Address::Off => Err("nothing can be reached there: write host:port or unix:/path".into()),
            Address::Tcp { port: 0, .. } => Err("the port must be the one that it listens on, not 0".into()),
            Address::Tcp { host, port } => Ok(Target::Tcp { host, port }),
            Address::Unix(path) => Ok(Target::Unix(path)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp { host, port } => write!(f, "{host}:{port}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connection of either sort.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Target {
    /// It has no deadline of its own.
    pub(super) async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Target::Tcp { host, port } => {
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                let stream = TcpStream::connect((bare.unwrap_or(host), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Target::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::Exit;

    fn folder(endpoints: Option<&str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some(text) = endpoints {
            fs::write(folder.path().join(ENDPOINTS_FILE), text).expect("it can be written");
        }
        folder
    }

    fn in_folder(folder: &tempfile::TempDir) -> Arguments {
        Arguments {
            address: None,
            data_dir: Some(folder.path().to_owned()),
        }
    }

    #[test]
    fn a_named_address_goes_before_the_data_directory() {
        let folder = folder(Some(r#"{"pid": 7, "version": "1", "layotto": "127.0.0.1:1"}"#));
        let arguments = Arguments {
            address: Some("[::1]:80".parse().expect("an address")),
            ..in_folder(&folder)
        };
        let place = arguments.layotto().expect("it was named");
        assert_eq!(place.target.to_string(), "[::1]:80");
    }

    #[test]
    fn the_data_directory_says_where() {
        let folder = folder(Some(
            r#"{"pid": 7, "version": "1", "layotto": "127.0.0.1:4711", "admin": "unix:/x"}"#,
        ));
        let place = in_folder(&folder).layotto().expect("it says so");
        assert_eq!(place.target.to_string(), "127.0.0.1:4711");
        assert!(
            place.found.ends_with("endpoints.json, process 7"),
            "{}",
            place.found
        );
        let place = in_folder(&folder).admin(None).expect("it says so");
        assert_eq!(place.target, Target::Unix("/x".into()));
    }

    #[test]
    fn without_a_word_it_is_the_default() {
        assert_eq!(LAYOTTO.by_default().target.to_string(), "127.0.0.1:34904");
        assert_eq!(ADMIN.by_default().target.to_string(), "127.0.0.1:9070");
    }

    #[test]
    fn a_named_data_directory_never_means_the_default_address() {
        let refused = in_folder(&folder(None))
            .layotto()
            .expect_err("nothing runs there");
        assert_eq!(refused.exit(), Exit::NotRunning);
        assert!(refused.text().contains("BLY0023"), "{}", refused.text());
    }

    #[test]
    fn a_listener_that_is_off_is_named() {
        let folder = folder(Some(r#"{"pid": 7, "version": "1"}"#));
        let refused = in_folder(&folder).layotto().expect_err("it is off");
        let message = "error BLY0023: that belay does not listen for layotto";
        assert!(refused.text().starts_with(message), "{}", refused.text());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_reason_to_try_elsewhere() {
        for text in ["{", r#"{"pid": 7, "version": "1", "layotto": "nowhere"}"#] {
            let refused = in_folder(&folder(Some(text))).layotto().expect_err(text);
            assert_eq!(refused.exit(), Exit::NotRunning);
        }
    }

    #[test]
    fn targets_are_addresses_that_can_be_connected_to() {
        for text in [
            "127.0.0.1:1",
            "localhost:34904",
            "[::1]:80",
            "unix:/tmp/a.sock",
            "unix:a",
        ] {
            assert_eq!(text.parse::<Target>().expect(text).to_string(), text);
        }
        for (text, message) in [
            ("off", "unix:/path"),
            ("127.0.0.1:0", "not 0"),
            ("34904", "write 127.0.0.1:34904"),
            ("http://127.0.0.1:1", "no scheme"),
        ] {
            let refused = text.parse::<Target>().expect_err(text);
            assert!(refused.contains(message), "{refused}");
        }
    }
}
