//! Where a framework's library may lie: where a variable says, beside the program, in the wheel of an installed Python
//! package, whose folder is found without running Python, or where packages of the system put it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A library that a runtime wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// What it is called in texts, such as `ONNX Runtime`.
    pub title: &'static str,
    /// How its file's name begins, the one wanted most first, such as `libonnxruntime.so`. A version may follow.
    pub files: &'static [&'static str],
    /// The variable that names the file or its folder, such as `ORT_DYLIB_PATH`.
    pub variable: &'static str,
    /// The folders within `site-packages` that hold it, such as `onnxruntime/capi`.
    pub wheel_folders: &'static [&'static str],
    /// The folders of the system that hold it, such as `/usr/lib/x86_64-linux-gnu`, where a package of the system's installs it.
    pub system_folders: &'static [&'static str],
    /// The command that installs it, such as `pip install onnxruntime`.
    pub install: &'static str,
}

/// Where to look: what the process was started with, passed in.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The folder of the program itself; none where it is not told.
    pub program_folder: Option<PathBuf>,
    /// Variables: `PATH`, `HOME`, `VIRTUAL_ENV`, `CONDA_PREFIX`, `PYTHONPATH`, and those of the libraries.
    pub variables: Vec<(String, String)>,
}

/// A library is not where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{title} is not here: looked for {file} {told}, beside the program, and in {folders} Python package folders{system}; \
     get it by `{install}`, or name the file in {variable}"
)]
pub struct NotFound {
    title: &'static str,
    file: &'static str,
    told: String,
    folders: usize,
    system: String,
    install: &'static str,
    variable: &'static str,
}

impl Wanted {
    /// Returns the library's file, as an absolute path.
    ///
    /// # Errors
    /// [`NotFound`] that says where it was looked for and how to get it.
    pub fn find(&self, search: &Search) -> Result<PathBuf, NotFound> {
        let told = search.variable(self.variable);
        if let Some(found) = told.and_then(|it| self.at(Path::new(it))) {
            return Ok(found);
        }
        if let Some(found) = search.program_folder.as_deref().and_then(|it| self.within(it)) {
            return Ok(found);
        }
        let packages = search.package_folders();
        for folder in &packages {
            if let Some(found) = self.wheel_folders.iter().find_map(|it| self.within(&folder.join(it))) {
                return Ok(found);
            }
        }
        if let Some(found) = self.system_folders.iter().find_map(|it| self.within(Path::new(it))) {
            return Ok(found);
        }
        Err(NotFound {
            title: self.title,
            file: self.files.first().copied().unwrap_or_default(),
            told: told.map_or_else(
                || format!("where {} says (it is not set)", self.variable),
                |it| format!("where {} says (`{it}`)", self.variable),
            ),
            folders: packages.len(),
            system: self.system_folders.iter().map(|it| format!(", {it}")).collect(),
            install: self.install,
            variable: self.variable,
        })
    }

    /// A file as it is named, or the library in a folder.
    fn at(&self, path: &Path) -> Option<PathBuf> {
        if path.is_file() { absolute(path) } else { self.within(path) }
    }

    /// The library in that folder: of several versions the one whose name sorts last.
    fn within(&self, folder: &Path) -> Option<PathBuf> {
        let names: BTreeSet<String> =
            folder.read_dir().ok()?.flatten().filter_map(|it| it.file_name().into_string().ok()).collect();
        let found = self.files.iter().find_map(|wanted| {
            let fits = |it: &&String| {
                it.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            names.iter().rfind(fits)
        })?;
        absolute(&folder.join(found))
    }
}

fn absolute(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

impl Search {
    /// Looks beside this program and where those variables say.
    pub fn of_process(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let program = std::env::current_exe().ok();
        Self {
            program_folder: program.and_then(|it| Some(it.parent()?.to_owned())),
            variables: variables.into_iter().collect(),
        }
    }

    /// Returns a variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|it| !it.is_empty())
    }

    /// Returns the folders where Python packages are installed, those of an activated environment first.
    pub fn package_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let mut add = |folder: PathBuf| {
            if folder.is_dir() && !folders.contains(&folder) {
                folders.push(folder);
            }
        };
        for path in self.variable("PYTHONPATH").into_iter().flat_map(std::env::split_paths) {
            add(path);
        }
        for prefix in self.prefixes() {
            for library in ["lib", "lib64"] {
                for python in pythons(&prefix.join(library)) {
                    add(python.join("site-packages"));
                    add(python.join("dist-packages"));
                }
            }
            add(prefix.join("lib/python3/dist-packages"));
        }
        folders
    }

    /// The folders that Pythons are installed under: each has `lib/python3.x`.
    fn prefixes(&self) -> Vec<PathBuf> {
        let mut prefixes: Vec<PathBuf> = Vec::new();
        for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            prefixes.extend(self.variable(variable).map(PathBuf::from));
        }
        for folder in self.variable("PATH").into_iter().flat_map(std::env::split_paths) {
            if folder.join("python3").exists() {
                prefixes.extend(folder.parent().map(Path::to_owned));
            }
        }
        prefixes.extend(self.variable("HOME").map(|it| Path::new(it).join(".local")));
        prefixes.extend(["/usr/local", "/usr"].map(PathBuf::from));
        prefixes
    }
}

/// The folders `python3.x` of a library folder, the newest first.
fn pythons(folder: &Path) -> Vec<PathBuf> {
    let minor = |path: &Path| path.file_name()?.to_str()?.strip_prefix("python3.")?.parse::<u32>().ok();
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|it| it.path());
    let mut found: Vec<(u32, PathBuf)> = entries.filter_map(|it| Some((minor(&it)?, it))).collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted {
        title: "Framework",
        files: &["libframework.so"],
        variable: "FRAMEWORK_LIBRARY",
        wheel_folders: &["framework/lib"],
        system_folders: &[],
        install: "pip install framework",
    };

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }

    #[test]
    fn a_variable_comes_before_the_program_and_that_before_wheels() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut search = Search { program_folder: Some(root.join("bin")), ..Search::default() };
        search.variables.push(("VIRTUAL_ENV".to_owned(), root.join("venv").display().to_string()));
        let text = WANTED.find(&search).unwrap_err().to_string();
        assert!(text.contains("FRAMEWORK_LIBRARY says (it is not set)"), "{text}");
        assert!(text.contains("pip install framework"), "{text}");

        let wheel = root.join("venv/lib/python3.11/site-packages/framework/lib");
        touch(&wheel.join("libframework.so.1.9"));
        touch(&wheel.join("libframework_other.so"));
        assert_eq!(WANTED.find(&search).unwrap(), wheel.join("libframework.so.1.9"));
        touch(&root.join("bin/libframework.so"));
        assert_eq!(WANTED.find(&search).unwrap(), root.join("bin/libframework.so"));
        touch(&root.join("else/libframework.so.2"));
        search.variables.push((WANTED.variable.to_owned(), root.join("else").display().to_string()));
        assert_eq!(WANTED.find(&search).unwrap(), root.join("else/libframework.so.2"));
    }

    #[test]
    fn the_newest_python_is_looked_at_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["python3.9", "python3.11", "python2"] {
            touch(&folder.path().join("lib").join(version).join("site-packages/here"));
        }
        let prefix = folder.path().display().to_string();
        let search = Search { variables: vec![("CONDA_PREFIX".to_owned(), prefix)], ..Search::default() };
        let folders = search.package_folders();
        let own: Vec<_> = folders.iter().filter(|it| it.starts_with(folder.path())).collect();
        assert_eq!(own.len(), 2);
        assert!(own[0].ends_with("python3.11/site-packages"), "{own:?}");
    }
}
