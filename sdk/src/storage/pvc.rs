//! `pvc://claim/path`: a volume. In a pod KServe mounts it as the model's folder; here a flag or a manifest says which folder the
//! claim stands for.

use std::path::{Path, PathBuf};

use super::list::Listing;
use super::place::{Place, relative};
use super::settings::Settings;
use super::{Source, StorageError};
use crate::BoxFuture;

/// Where a volume's path is in a pod of KServe's.
const MOUNTED: &str = "/mnt/pvc";

/// Claims of volumes.
pub(super) struct Pvc;

impl Source for Pvc {
    fn schemes(&self) -> &'static [&'static str] {
        &["pvc"]
    }

    fn local(
        &self,
        place: &Place,
        base: &Path,
        settings: &Settings,
    ) -> Option<Result<PathBuf, StorageError>> {
        Some(locate(place, base, settings))
    }

    fn list<'a>(&'a self, place: &'a Place, _: &'a Settings) -> BoxFuture<'a, Result<Listing, StorageError>> {
        Box::pin(std::future::ready(Err(place.refused("it is a place on this machine, which is not listed"))))
    }
}

fn locate(place: &Place, base: &Path, settings: &Settings) -> Result<PathBuf, StorageError> {
    let (claim, path) = place.container()?;
    let mapped =
        settings.pvc.iter().rev().find(|(name, _)| name == claim).map(|(_, folder)| base.join(folder));
    let folder = match mapped {
        Some(folder) => folder,
        None if Path::new(MOUNTED).is_dir() => PathBuf::from(MOUNTED),
        None => {
            let reason = format!(
                "no folder is known for the claim `{claim}`; name it by --pvc={claim}=FOLDER or $WEIR_PVC"
            );
            return Err(place.refused(reason));
        }
    };
    let path = if path.is_empty() {
        folder
    } else {
        folder.join(relative(path).map_err(|reason| place.refused(reason))?)
    };
    path.canonicalize().map_err(|_| StorageError::Missing { uri: place.shown(), path })
}
