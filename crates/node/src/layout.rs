//! The data directory: `<data-dir>/member` with the raft log in `wal`, checkpoints under way in `snapshots`, and the
//! store in `store`.
//!
//! `store` is a symbolic link to `store.N`. An installed snapshot becomes `store.N+1`, and one rename of the link makes
//! it the store: before it the old one is whole, after it the new one. The old files must stay where they are as long
//! as the old engine may still open some of them by name, which a rename of directories would not allow; they go once
//! nobody reads them, or at the next start.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where things are.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    member: PathBuf,
}

impl Layout {
    /// Makes the directories that are missing, and removes what an interrupted installation left.
    pub fn prepare(data_dir: &Path) -> io::Result<Layout> {
        let layout = Layout {
            member: data_dir.join("member"),
        };
        if !layout.member.exists() {
            create_private(&layout.member)?;
            sync_dir(data_dir)?;
        }
        layout.adopt_plain_store()?;
        let current = layout.current()?;
        // Before anything is removed: a link that leads nowhere is no reason to throw away where it should lead.
        if let Some(number) = current
            && !layout.numbered(number).is_dir()
        {
            let text = format!(
                "{} leads to store.{number}, which is not there; make it a symbolic link to the store.N that holds the \
                 data, or empty the data directory and have this member rebuilt from the others",
                layout.member.join("store").display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        for (number, path) in layout.stores()? {
            if Some(number) != current {
                fs::remove_dir_all(path)?;
            }
        }
        if current.is_none() {
            create_private(&layout.numbered(1))?;
            layout.point_to(1)?;
        }
        Ok(layout)
    }

    /// The raft log.
    pub fn wal(&self) -> PathBuf {
        self.member.join("wal")
    }

    /// Checkpoints being sent and snapshots being received.
    pub fn snapshots(&self) -> PathBuf {
        self.member.join("snapshots")
    }

    /// The store in use, without the link: stays valid for those who have it open when another takes its place.
    pub fn store(&self) -> io::Result<PathBuf> {
        match self.current()? {
            Some(number) => Ok(self.numbered(number)),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no store directory")),
        }
    }

    /// Puts the files of `received` where the next store is to be, leaving `received` as it is; nothing points there
    /// yet.
    pub fn stage(&self, received: &Path) -> io::Result<PathBuf> {
        let next = self.numbered(self.current()?.unwrap_or(0) + 1);
        if next.exists() {
            fs::remove_dir_all(&next)?;
        }
        failpoint::point!("storeBeforeStage");
        link_tree(received, &next)?;
        failpoint::point!("storeAfterStage");
        sync_dir(&self.member)?;
        Ok(next)
    }

    /// Makes a staged store the one in use. Returns where the one before is.
    pub fn switch(&self, staged: &Path) -> io::Result<PathBuf> {
        let old = self.store()?;
        let number = staged.file_name().and_then(number_of).unwrap_or(1);
        self.point_to(number)?;
        Ok(old)
    }

    /// A directory named `store`, as a restore tool or an administrator leaves it, becomes the first numbered one.
    fn adopt_plain_store(&self) -> io::Result<()> {
        let plain = self.member.join("store");
        let Ok(found) = fs::symlink_metadata(&plain) else {
            return Ok(());
        };
        if found.is_symlink() {
            return Ok(());
        }
        let number = self
            .stores()?
            .into_iter()
            .map(|(number, _)| number)
            .max()
            .unwrap_or(0)
            + 1;
        // A crash between the two leaves a numbered store without a link: `current` finds it.
        fs::rename(&plain, self.numbered(number))?;
        self.point_to(number)
    }

    fn current(&self) -> io::Result<Option<u64>> {
        match fs::read_link(self.member.join("store")) {
            Ok(target) => match number_of(target.as_os_str()) {
                Some(number) => Ok(Some(number)),
                None => {
                    let text = format!(
                        "{} leads to {}, and no store is called so; make it a symbolic link to the store.N that holds \
                         the data",
                        self.member.join("store").display(),
                        target.display()
                    );
                    Err(io::Error::new(io::ErrorKind::InvalidData, text))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let Some(number) = self.stores()?.into_iter().map(|(number, _)| number).max() else {
                    return Ok(None);
                };
                self.point_to(number)?;
                Ok(Some(number))
            }
            Err(error) => Err(error),
        }
    }

    fn stores(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut stores = Vec::new();
        for entry in fs::read_dir(&self.member)? {
            let entry = entry?;
            if let Some(number) = number_of(&entry.file_name()) {
                stores.push((number, entry.path()));
            }
        }
        Ok(stores)
    }

    fn numbered(&self, number: u64) -> PathBuf {
        self.member.join(format!("store.{number}"))
    }

    fn point_to(&self, number: u64) -> io::Result<()> {
        let new = self.member.join("store.link");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(format!("store.{number}"), &new)?;
        failpoint::point!("storeBeforeSwitch");
        fs::rename(&new, self.member.join("store"))?;
        failpoint::point!("storeAfterSwitch");
        sync_dir(&self.member)
    }
}

fn number_of(name: &OsStr) -> Option<u64> {
    name.to_str()?.strip_prefix("store.")?.parse().ok()
}

/// Keys and values are nobody else's business: directories are for the owner only.
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A name is durable only once its directory is synced.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Hard links of all files below `from`, which must be on the same file system.
fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    create_private(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_tree(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), target)?;
        }
    }
    sync_dir(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(layout: &Layout) -> String {
        fs::read_to_string(layout.store().unwrap().join("file")).unwrap()
    }

    fn received(dir: &Path, content: &str) -> PathBuf {
        let received = dir.join("received");
        fs::create_dir_all(&received).unwrap();
        fs::write(received.join("file"), content).unwrap();
        received
    }

    #[test]
    fn a_crash_before_the_switch_leaves_the_old_store() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        fs::write(layout.store().unwrap().join("file"), "old").unwrap();
        let received = received(dir.path(), "new");

        layout.stage(&received).unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        assert_eq!(content(&layout), "old");
        assert!(received.join("file").exists(), "the installation can be repeated");

        let staged = layout.stage(&received).unwrap();
        let old = layout.switch(&staged).unwrap();
        assert_eq!(content(&layout), "new");
        assert!(old.exists(), "readers may still need it");
        let layout = Layout::prepare(dir.path()).unwrap();
        assert_eq!(content(&layout), "new");
        assert!(!old.exists());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_refused_and_nothing_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        fs::write(layout.store().unwrap().join("file"), "kept").unwrap();
        let link = dir.path().join("member/store");
        for target in [
            "store.2",
            "stose.1",
            "store.x",
            "../store.1",
            "/store.1",
            "store.1/file",
            "sub/store.1",
        ] {
            fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(target, &link).unwrap();
            let error = Layout::prepare(dir.path()).expect_err(target);
            assert!(
                error.to_string().contains(target.rsplit('/').next().unwrap()),
                "{error}"
            );
        }
        fs::remove_file(&link).unwrap();
        assert_eq!(content(&Layout::prepare(dir.path()).unwrap()), "kept");
    }

    #[test]
    fn a_store_put_there_by_hand_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("member/store");
        fs::create_dir_all(&plain).unwrap();
        fs::write(plain.join("file"), "restored").unwrap();
        assert_eq!(content(&Layout::prepare(dir.path()).unwrap()), "restored");

        fs::remove_file(dir.path().join("member/store")).unwrap();
        let again = Layout::prepare(dir.path()).unwrap();
        assert_eq!(content(&again), "restored", "a lost link is found again");
    }
}
