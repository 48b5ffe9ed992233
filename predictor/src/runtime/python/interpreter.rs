//! Which Python runs a model: the one that is named, an activated environment's, or the first on the path.

use std::path::{Path, PathBuf};

use weir_sdk::Env;

/// Where a Python is looked for when no variable says: a component of a mesh has only the variables of its manifest.
const USUAL: [&str; 2] = ["/usr/local/bin", "/usr/bin"];

/// Returns the program, and how it was found.
///
/// # Errors
/// Where it was looked for, and what to do.
pub(super) fn find(told: Option<&str>, env: &Env) -> Result<(PathBuf, String), String> {
    if let Some(told) = told {
        let found = if told.contains('/') { Some(PathBuf::from(told)) } else { on_path(told, env) };
        return match found.filter(|it| it.is_file()) {
            Some(python) => Ok((python, "`--python` says".to_owned())),
            None => Err(format!("there is no Python at `{told}`, where `--python` says; name its program")),
        };
    }
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        let Some(prefix) = env.get(variable).filter(|it| !it.is_empty()) else { continue };
        let python = Path::new(prefix).join("bin/python");
        if python.is_file() {
            return Ok((python, format!("${variable} says")));
        }
        return Err(format!("there is no Python at {}, where ${variable} says", python.display()));
    }
    let found = on_path("python3", env).map(|it| (it, "the first `python3` on the path".to_owned()));
    found.ok_or_else(|| {
        "there is no Python: looked for `python3` on the path, without $VIRTUAL_ENV and `--python`; \
         install Python 3.8 or newer with the packages that the model needs, and name it by `--python`"
            .to_owned()
    })
}

fn on_path(name: &str, env: &Env) -> Option<PathBuf> {
    let told = env.get("PATH").into_iter().flat_map(std::env::split_paths);
    told.chain(USUAL.map(PathBuf::from)).map(|it| it.join(name)).find(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_comes_first_and_what_is_missing_is_told() {
        let folder = std::env::temp_dir().join(format!("weir-python-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        for name in ["python", "python3"] {
            std::fs::write(folder.join("bin").join(name), b"").unwrap();
        }
        let text = |it: &Path| it.display().to_string();
        let path = Env::from_iter([("PATH", text(&folder.join("bin")))]);
        let both = Env::from_iter([("PATH", "/nowhere".to_owned()), ("VIRTUAL_ENV", text(&folder))]);
        assert_eq!(find(None, &path).unwrap().0, folder.join("bin/python3"));
        assert_eq!(find(None, &both).unwrap().0, folder.join("bin/python"));
        assert_eq!(find(Some("python"), &path).unwrap().0, folder.join("bin/python"));
        let gone = Env::from_iter([("VIRTUAL_ENV", "/nowhere")]);
        assert!(find(None, &gone).unwrap_err().contains("/nowhere/bin/python"));
        assert!(find(Some("/nowhere/python"), &path).unwrap_err().contains("`--python` says"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
