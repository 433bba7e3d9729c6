//! A socket's file: taken over from a dead process, never from a live one, and never any other file.
//!
//! Whether a file is stale is found out by connecting to it. Between that and binding, another starting process could
//! find the same; so all of it happens under a lock file, which is held as long as the socket is served.
//!
//! | the path holds | then |
//! |---|---|
//! | nothing | bound |
//! | a socket that nobody answers on | removed, bound |
//! | a socket that somebody answers on, or a lock that somebody holds | refused, untouched |
//! | a file, a folder, a link (also one to nowhere) | refused, untouched |

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use base::limits;
use rustix::fs::FlockOperation;
use socket2::{Domain, SockAddr, Socket, Type};

/// Why a path could not be bound.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Another process serves there, or is about to.
    InUse,
    /// Something is there that is not a socket: what.
    Blocked(&'static str),
    Io(std::io::Error),
}

impl From<std::io::Error> for Refusal {
    fn from(cause: std::io::Error) -> Refusal {
        Refusal::Io(cause)
    }
}

/// The file behind a listener. Dropping it removes the file, if it is still the one that was made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode of the socket that was bound.
    identity: (u64, u64),
    lock: Lock,
}

/// Binds that path and listens. The file has those permissions before the first connection can be made.
pub(super) fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), Refusal> {
    let lock = Lock::take(path)?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.set_nonblocking(true)?;
    socket.listen(limits::BACKLOG_CONNECTIONS)?;
    let file = SocketFile {
        identity: identity(path)?,
        path: std::path::absolute(path)?,
        lock,
    };
    Ok((UnixListener::from(socket), file))
}

/// Removes what a dead process left; refuses whatever else is there.
fn clear(path: &Path) -> Result<(), Refusal> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause.into()),
    };
    if kind.is_symlink() {
        return Err(Refusal::Blocked("a symbolic link"));
    }
    if kind.is_dir() {
        return Err(Refusal::Blocked("a directory"));
    }
    if !kind.is_socket() {
        return Err(Refusal::Blocked("a file that is not a socket"));
    }
    match UnixStream::connect(path) {
        Err(cause) if cause.kind() == ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => Err(cause.into()),
        // Accepted, or a full backlog, or a socket of another type: somebody is there.
        _ => Err(Refusal::InUse),
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            drop(fs::remove_file(&self.path));
        }
        self.lock.remove();
    }
}

/// A lock file beside the socket. The kernel lets go of it however the process ends.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    fn take(socket: &Path) -> Result<Lock, Refusal> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = std::path::absolute(PathBuf::from(path))?;
        // A holder that stops removes its file; whoever had it open then holds a lock on nothing and must look again.
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Refusal::InUse),
                Err(cause) => return Err(Refusal::Io(cause.into())),
            }
            let held = file.metadata()?;
            if identity(&path).is_ok_and(|found| found == (held.dev(), held.ino())) {
                return Ok(Lock { path, file });
            }
        }
    }

    /// While it is still held, so that nobody else's is removed.
    fn remove(&self) {
        let held = self.file.metadata().map(|held| (held.dev(), held.ino()));
        if held.is_ok_and(|held| identity(&self.path).is_ok_and(|found| found == held)) {
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    const MODE: u32 = 0o600;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn a_dead_socket_is_taken_over() {
        let folder = folder();
        let path = folder.path().join("belay.sock");
        // Never listens: a listener's copy in a process that another test starts could still answer.
        let dead = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        dead.bind(&SockAddr::unix(&path).expect("short")).expect("free");
        drop(dead);
        assert!(path.exists(), "a socket that dies leaves its file");
        let (_listener, _file) = bind(&path, MODE).expect("nobody answers there");
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_live_socket_of_another_program_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("belay.sock");
        let other = UnixListener::bind(&path).expect("free");
        assert!(matches!(bind(&path, MODE), Err(Refusal::InUse)));
        // The probe is in its backlog; the next connection is answered all the same.
        let _client = UnixStream::connect(&path).expect("unharmed");
        assert!(other.accept().is_ok());
    }

    #[test]
    fn a_second_instance_is_refused_while_the_first_lives_and_taken_after_it_stopped() {
        let folder = folder();
        let path = folder.path().join("belay.sock");
        let first = bind(&path, MODE).expect("free");
        assert!(matches!(bind(&path, MODE), Err(Refusal::InUse)));
        assert!(UnixStream::connect(&path).is_ok(), "the first is unharmed");
        drop(first);
        bind(&path, MODE).expect("free again");
    }

    #[test]
    fn anything_that_is_not_a_socket_is_refused_and_kept() {
        let folder = folder();
        let file = folder.path().join("file");
        fs::write(&file, "precious").expect("writable");
        assert!(matches!(bind(&file, MODE), Err(Refusal::Blocked(_))));
        assert_eq!(fs::read(&file).expect("still there"), b"precious");
        let directory = folder.path().join("directory");
        fs::create_dir(&directory).expect("writable");
        assert!(matches!(
            bind(&directory, MODE),
            Err(Refusal::Blocked("a directory"))
        ));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("writable");
        assert!(matches!(
            bind(&link, MODE),
            Err(Refusal::Blocked("a symbolic link"))
        ));
        assert!(fs::symlink_metadata(&link).is_ok());
        let datagrams = folder.path().join("datagrams");
        let _other = UnixDatagram::bind(&datagrams).expect("free");
        assert!(matches!(bind(&datagrams, MODE), Err(Refusal::InUse)));
    }

    #[test]
    fn a_clean_stop_leaves_nothing_behind() {
        let folder = folder();
        drop(bind(&folder.path().join("belay.sock"), MODE).expect("free"));
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_file_that_somebody_else_put_there_is_not_removed_at_the_end() {
        let folder = folder();
        let path = folder.path().join("belay.sock");
        let (_listener, file) = bind(&path, MODE).expect("free");
        fs::remove_file(&path).expect("there");
        fs::write(&path, "another").expect("writable");
        drop(file);
        assert_eq!(fs::read(&path).expect("still there"), b"another");
    }

    #[test]
    fn only_the_owner_may_connect() {
        let folder = folder();
        let path = folder.path().join("belay.sock");
        let (_listener, _file) = bind(&path, MODE).expect("free");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error_of_the_system() {
        let path = folder().path().join("gone").join("belay.sock");
        assert!(matches!(bind(&path, MODE), Err(Refusal::Io(_))));
    }
}
