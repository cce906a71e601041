//! What can be reached in a folder, and what can't.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::folder::LISTED;
use super::*;

/// A folder "lists" and a secret beside it.
struct Place {
    top: tempfile::TempDir,
    folders: Folders,
}

impl Place {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("lists");
        fs::create_dir(&path).unwrap();
        fs::write(top.path().join("secret"), "secret").unwrap();
        let settings = config::Folder { path, file_size: 100, size: 1_000, files: 20 };
        Self { top, folders: Folders::new(&[("lists".to_owned(), settings)].into(), None) }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.top.path().join("lists").join(path)
    }

    fn with(self, path: &str, content: &str) -> Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
        self
    }

    async fn read(&self, path: &str) -> Result<String, FileError> {
        let read = self.folders.read("lists", path, 0, 1_000).await;
        read.map(|content| String::from_utf8(content).unwrap())
    }

    async fn write(&self, path: &str, content: &str) -> Result<(), FileError> {
        self.folders.write("lists", path, content.as_bytes().to_vec()).await
    }
}

#[tokio::test]
async fn files_are_read_by_ranges_and_listed_in_order() {
    let place =
        Place::new().with("b", "0123456789").with("a", "").with("sub/c", "").with(".hidden", "");
    assert_eq!(place.read("b").await.unwrap(), "0123456789");
    assert_eq!(place.folders.read("lists", "b", 8, 5).await.unwrap(), b"89");
    assert_eq!(place.folders.read("lists", "b", 99, 5).await.unwrap(), b"");
    let info = place.folders.info("lists", "b").await.unwrap();
    assert!(info.size == 10 && !info.is_folder && info.modified > 1_700_000_000_000, "{info:?}");
    assert!(place.folders.info("lists", "").await.unwrap().is_folder);
    let list =
        async |path: &str, after: Option<&str>| place.folders.list("lists", path, after).await;
    assert_eq!(list("", None).await.unwrap(), ["a", "b", "sub/"]);
    assert_eq!(list("", Some("a")).await.unwrap(), ["b", "sub/"]);
    assert_eq!(list("sub/", None).await.unwrap(), ["c"]);
    assert_eq!(place.read("none").await, Err(FileError::NotFound));
    assert_eq!(list("none", None).await, Err(FileError::NotFound));
    assert_eq!(
        place.folders.read("other", "a", 0, 1).await,
        Err(FileError::UnknownFolder("other".into()))
    );
}

#[tokio::test]
async fn a_long_list_comes_in_parts() {
    let place = Place::new();
    for number in 0..LISTED + 10 {
        fs::write(place.path(&format!("f{number:04}")), "").unwrap();
    }
    let first = place.folders.list("lists", "", None).await.unwrap();
    let rest = place.folders.list("lists", "", first.last().map(String::as_str)).await.unwrap();
    assert_eq!((first.len(), rest.len(), rest[0].as_str()), (LISTED, 10, "f0256"));
}

#[tokio::test]
async fn no_path_leads_out_of_its_folder() {
    let place = Place::new().with("inside", "fine").with("sub/x", "");
    symlink("../secret", place.path("relative")).unwrap();
    symlink(place.top.path().join("secret"), place.path("absolute")).unwrap();
    symlink("..", place.path("up")).unwrap();
    symlink("../inside", place.path("sub/within")).unwrap();
    let secret = place.top.path().join("secret").display().to_string();
    for path in [
        "relative",
        "absolute",
        "up/secret",
        "../secret",
        "sub/../../secret",
        &secret,
        "",
        ".",
        "a//b",
        ".hidden",
        "a\0b",
    ] {
        assert_eq!(place.read(path).await, Err(FileError::InvalidPath), "{path:?}");
        assert_eq!(place.write(path, "forged").await, Err(FileError::InvalidPath), "{path:?}");
    }
    assert_eq!(place.folders.list("lists", "up", None).await, Err(FileError::InvalidPath));
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(place.read("sub/within").await.unwrap(), "fine");
    assert_eq!(place.read("inside/x").await, Err(FileError::InvalidPath));
    // A link is removed itself, never what it leads to.
    place.folders.remove("lists", "absolute").await.unwrap();
    assert!(Path::new(&secret).exists() && !place.path("absolute").exists());
    // A pipe without a writer holds up nobody.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert_eq!(place.read("pipe").await, Err(FileError::InvalidPath));
    assert_eq!(place.read("sub").await, Err(FileError::InvalidPath));
}

#[tokio::test]
async fn what_is_written_is_bounded_and_whole() {
    let place = Place::new();
    assert_eq!(place.write("a", &"x".repeat(101)).await, Err(FileError::TooLarge));
    place.write("a", "old").await.unwrap();
    place.write("a", "new").await.unwrap();
    assert_eq!(place.read("a").await.unwrap(), "new");
    assert_eq!(place.write("sub/a", "x").await, Err(FileError::NotFound));
    // Ten of a hundred bytes are all that there may be, what was there before included; the same
    // again changes nothing.
    place.folders.remove("lists", "a").await.unwrap();
    let full = "x".repeat(100);
    for number in 0..10 {
        place.write(&format!("f{number}"), &full).await.unwrap();
        place.write(&format!("f{number}"), &full).await.unwrap();
    }
    assert_eq!(place.write("one-more", "x").await, Err(FileError::Full));
    place.folders.remove("lists", "f0").await.unwrap();
    place.write("one-more", &full).await.unwrap();
    assert_eq!(place.folders.list("lists", "", None).await.unwrap().len(), 10);
    assert!(
        fs::read_dir(place.path("")).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .as_encoded_bytes()
            .starts_with(b"."))
    );
    for number in 0..9 {
        place.folders.remove("lists", &format!("f{}", number + 1)).await.unwrap();
    }
    for number in 0..19 {
        place.write(&format!("small{number}"), "").await.unwrap();
    }
    assert_eq!(place.write("too-many", "").await, Err(FileError::Full));
}

#[tokio::test]
async fn a_folder_may_come_later() {
    let place = Place::new();
    fs::remove_dir(place.path("")).unwrap();
    assert!(matches!(place.read("a").await, Err(FileError::Unavailable(_))));
    let place = place.with("a", "there");
    assert_eq!(place.read("a").await.unwrap(), "there");
}
