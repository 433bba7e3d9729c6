//! Names in a file system: anywhere in it, or beneath one directory that no name can leave.
//!
//! The kernel keeps names beneath the directory (`openat2`), while it resolves them: a check of the text beforehand can't
//! see symbolic links, and a check of the resolved path is stale when the file is opened.

use std::io;
use std::path::Path;

use base::{Error, Result, codes};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// A name is resolved again this often when somebody renames directories under it.
const RENAME_RACES_MAX: usize = 8;

pub(crate) struct Tree {
    root: Option<OwnedFd>,
}

impl Tree {
    /// Names as the process would use them itself: absolute, or relative to its working directory.
    pub(crate) fn anywhere() -> Tree {
        Tree { root: None }
    }

    /// Names beneath `directory`. A link is followed as long as it stays there. It blocks.
    pub(crate) fn beneath(directory: &Path) -> Result<Tree> {
        let failed = |errno: Errno| {
            let text = format!("{}: {}", directory.display(), text(errno));
            Error::new(codes::COMPONENT_NOT_OPENED, text)
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory, flags, Mode::empty()).map_err(failed)?;
        let tree = Tree { root: Some(root) };
        // An old kernel, or a sandbox that doesn't know the call, must show at the start and not with the first file.
        tree.open(".", flags, Mode::empty()).map_err(failed)?;
        Ok(tree)
    }

    pub(crate) fn is_rooted(&self) -> bool {
        self.root.is_some()
    }

    /// Opens a file. It never waits for the other end of a pipe. A name that leaves the root is `Errno::XDEV`.
    pub(crate) fn open(&self, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        // A file that is only named can't wait, and the newer call refuses the flag for it.
        let names_only = flags.contains(OFlags::PATH);
        let flags = if names_only {
            flags
        } else {
            flags | OFlags::NONBLOCK
        };
        let Some(root) = &self.root else {
            return rustix::fs::open(name, flags, mode);
        };
        // This call refuses what the older one ignores: a mode without a file to create.
        let creates = flags.intersects(OFlags::CREATE);
        let mode = if creates { mode } else { Mode::empty() };
        for _ in 0..RENAME_RACES_MAX {
            match rustix::fs::openat2(root, name, flags, mode, ResolveFlags::BENEATH) {
                Err(Errno::AGAIN) => {}
                outcome => return outcome,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Removes a file, a link or an empty directory, as Go's `os.Remove` does.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Errno> {
        self.in_parent(name, |parent, last| {
            let Err(as_file) = rustix::fs::unlinkat(parent, last, AtFlags::empty()) else {
                return Ok(());
            };
            match rustix::fs::unlinkat(parent, last, AtFlags::REMOVEDIR) {
                Err(Errno::NOTDIR) => Err(as_file),
                outcome => outcome,
            }
        })
    }

    /// Calls `act` with a name's directory and its last part.
    pub(crate) fn in_parent<T>(
        &self,
        name: &str,
        act: impl FnOnce(BorrowedFd<'_>, &str) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if self.root.is_none() {
            return act(CWD, name);
        }
        let (parent, last) = split(name)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = self.open(parent, flags, Mode::empty())?;
        act(parent.as_fd(), last)
    }
}

/// A name's directory and its last part, which is never one that means a directory.
fn split(name: &str) -> Result<(&str, &str), Errno> {
    let trimmed = name.trim_end_matches('/');
    let (parent, last) = match trimmed.rsplit_once('/') {
        None => (".", trimmed),
        Some(("", last)) => ("/", last),
        Some(both) => both,
    };
    match last {
        "" if name.is_empty() => Err(Errno::NOENT),
        "" | ".." => Err(Errno::XDEV),
        "." => Err(Errno::INVAL),
        _ => Ok((parent, last)),
    }
}

/// The operating system's words, as Go has them: `no such file or directory`.
pub(crate) fn text(errno: Errno) -> String {
    let text = io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// `in` is the root, beside it lies `out/secret`.
    fn root() -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["in/sub", "out"] {
            std::fs::create_dir_all(directory.path().join(name)).expect("a directory");
        }
        std::fs::write(directory.path().join("out/secret"), "secret").expect("a file");
        std::fs::write(directory.path().join("in/sub/file"), "file").expect("a file");
        let tree = Tree::beneath(&directory.path().join("in")).expect("the kernel knows openat2");
        (directory, tree)
    }

    #[track_caller]
    fn check(tree: &Tree, name: &str, expected: Result<(), Errno>) {
        let opened = tree.open(name, OFlags::RDONLY, Mode::empty()).map(drop);
        assert_eq!(opened, expected, "{name}");
    }

    #[test]
    fn names_stay_beneath_the_root() {
        let (directory, tree) = root();
        check(&tree, "sub/file", Ok(()));
        check(&tree, "sub/../sub/file", Ok(()));
        check(&tree, "../out/secret", Err(Errno::XDEV));
        check(&tree, "sub/../../out/secret", Err(Errno::XDEV));
        let secret = directory.path().join("out/secret");
        check(&tree, secret.to_str().expect("a text"), Err(Errno::XDEV));
        check(&tree, "", Err(Errno::NOENT));
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay() {
        let (directory, tree) = root();
        let inside = directory.path().join("in");
        symlink("sub/file", inside.join("good")).expect("a link");
        symlink("../out/secret", inside.join("bad")).expect("a link");
        symlink("../out", inside.join("folder")).expect("a link");
        symlink(directory.path().join("out/secret"), inside.join("absolute")).expect("a link");
        check(&tree, "good", Ok(()));
        check(&tree, "bad", Err(Errno::XDEV));
        check(&tree, "folder/secret", Err(Errno::XDEV));
        check(&tree, "absolute", Err(Errno::XDEV));
        assert_eq!(tree.remove("folder/secret"), Err(Errno::XDEV));
        assert_eq!(tree.remove("../out/secret"), Err(Errno::XDEV));
        assert!(directory.path().join("out/secret").exists());
    }

    #[test]
    fn removing_takes_files_links_and_empty_directories() {
        let (directory, tree) = root();
        symlink("../out/secret", directory.path().join("in/link")).expect("a link");
        assert_eq!(tree.remove("link"), Ok(()));
        assert_eq!(tree.remove("sub"), Err(Errno::NOTEMPTY));
        assert_eq!(tree.remove("sub/file"), Ok(()));
        assert_eq!(tree.remove("sub/"), Ok(()));
        assert_eq!(tree.remove("sub"), Err(Errno::NOENT));
        assert_eq!(tree.remove("."), Err(Errno::INVAL));
        assert_eq!(tree.remove(".."), Err(Errno::XDEV));
        assert!(directory.path().join("out/secret").exists());
    }

    #[test]
    fn a_missing_root_is_named() {
        let Err(error) = Tree::beneath(Path::new("/nowhere/at/all")) else {
            panic!("it was opened");
        };
        assert_eq!(error.message(), "/nowhere/at/all: no such file or directory");
    }

    #[test]
    fn texts_are_the_reference_s() {
        assert_eq!(text(Errno::NOENT), "no such file or directory");
        assert_eq!(text(Errno::ISDIR), "is a directory");
        assert_eq!(text(Errno::ACCESS), "permission denied");
    }
}
