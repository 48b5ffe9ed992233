//! The file `models.json` of KServe's agent: the models that one predictor serves, as it changes while it runs.

use weir_proto::Error;
use weir_proto::json::{self, Kind, Reader};

/// The most bytes of a file.
const MAX_BYTES: usize = 4 << 20;
/// The most models of a file.
const MAX_MODELS: usize = 10_000;

/// A model that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelEntry {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub storage_uri: String,
    /// Its format; empty for whatever its files say.
    pub framework: String,
    /// How much memory was declared for it, in bytes.
    pub memory: Option<u64>,
}

/// Reads `[{"modelName": ..., "modelSpec": {"storageUri": ..., "framework": ..., "memory": ...}}]`. Fields beside these are
/// passed over.
///
/// # Errors
/// What was met, where, and what was expected.
pub fn read(text: &[u8]) -> Result<Vec<ModelEntry>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, expected {MAX_BYTES} at most", text.len()));
    }
    list(text).map_err(|error| error.message)
}

/// Writes what [`read`] reads.
pub fn write(models: &[ModelEntry]) -> String {
    let mut out = Vec::new();
    json::push_list(&mut out, models, |out, it| {
        out.extend_from_slice(b"{\"modelName\":");
        json::push_str(out, &it.name);
        out.extend_from_slice(b",\"modelSpec\":{\"storageUri\":");
        json::push_str(out, &it.storage_uri);
        out.extend_from_slice(b",\"framework\":");
        json::push_str(out, &it.framework);
        if let Some(memory) = it.memory {
            out.extend_from_slice(b",\"memory\":\"");
            json::push_u64(out, memory);
            out.push(b'"');
        }
        out.extend_from_slice(b"}}");
    });
    String::from_utf8(out).expect("the writer makes JSON out of text, which is text")
}

fn list(text: &[u8]) -> Result<Vec<ModelEntry>, Error> {
    let mut reader = Reader::new(text);
    let mut models: Vec<ModelEntry> = Vec::new();
    let mut names = std::collections::HashSet::new();
    // An agent that has nothing to serve writes so.
    if reader.peek()? == Kind::Null {
        reader.null()?;
    } else {
        reader.begin_array()?;
        while reader.next_element()? {
            let model = model(&mut reader)?;
            if !names.insert(model.name.clone()) {
                return Err(Error::invalid(format!("a model `{}` was there before", model.name)));
            }
            if models.len() == MAX_MODELS {
                return Err(Error::invalid(format!("there are more than {MAX_MODELS} models")));
            }
            models.push(model);
        }
    }
    reader.finish()?;
    Ok(models)
}

fn model(reader: &mut Reader<'_>) -> Result<ModelEntry, Error> {
    let mut model = ModelEntry::default();
    reader.begin_object()?;
    while let Some(key) = reader.next_key()? {
        match &*key {
            "modelName" => model.name = reader.string()?.into_owned(),
            "modelSpec" => spec(reader, &mut model)?,
            _ => reader.skip()?,
        }
    }
    for (what, said) in [("modelName", &model.name), ("modelSpec.storageUri", &model.storage_uri)] {
        if said.is_empty() {
            return Err(Error::invalid(format!("model `{}` has no `{what}`", model.name)));
        }
    }
    Ok(model)
}

fn spec(reader: &mut Reader<'_>, model: &mut ModelEntry) -> Result<(), Error> {
    reader.begin_object()?;
    while let Some(key) = reader.next_key()? {
        match &*key {
            "storageUri" => model.storage_uri = reader.string()?.into_owned(),
            "framework" => model.framework = reader.string()?.into_owned(),
            "memory" => model.memory = memory(reader)?,
            _ => reader.skip()?,
        }
    }
    Ok(())
}

fn memory(reader: &mut Reader<'_>) -> Result<Option<u64>, Error> {
    let text = match reader.peek()? {
        Kind::Null => return reader.null().map(|()| None).map_err(Into::into),
        Kind::Number => reader.float()?.to_string(),
        _ => reader.string()?.into_owned(),
    };
    let read = quantity(&text);
    read.map(Some).ok_or_else(|| {
        let met: String = text.chars().take(64).collect();
        Error::invalid(format!("`memory` is `{met}`, expected bytes such as `256Mi` or `1G`"))
    })
}

/// Reads a quantity of Kubernetes, in whole units: `256Mi`, `1.5G`, `1e9`, `1000`.
pub fn quantity(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("", 1.0),
    ];
    let (digits, factor) =
        UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    let plain = digits.starts_with(|it: char| it.is_ascii_digit()) && digits.len() < 32;
    let value: f64 = digits.parse().ok().filter(|_| plain)?;
    let bytes = (value * factor).ceil();
    (bytes.is_finite() && bytes < 1.8e19).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_the_agents_is_read() {
        let text = br#"[{"modelName": "a", "modelSpec": {"storageUri": "s3://b/a", "framework": "sklearn", "memory": "1.5Mi"}},
            {"modelSpec": {"memory": 7, "storageUri": "/b", "x": []}, "modelName": "b", "y": null}]"#;
        let model = |name: &str, uri: &str, framework: &str, memory| ModelEntry {
            name: name.to_owned(),
            storage_uri: uri.to_owned(),
            framework: framework.to_owned(),
            memory: Some(memory),
        };
        assert_eq!(
            read(text).unwrap(),
            [model("a", "s3://b/a", "sklearn", 1_572_864), model("b", "/b", "", 7)]
        );
        assert_eq!((read(b"[]").unwrap(), read(b"null").unwrap()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let wrong = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(wrong(r#"[{"modelName": "a"}]"#), "model `a` has no `modelSpec.storageUri`");
        let one = r#"{"modelName": "a", "modelSpec": {"storageUri": "x"}}"#;
        assert_eq!(wrong(&format!("[{one}, {one}]")), "a model `a` was there before");
        let memory = wrong(r#"[{"modelName": "a", "modelSpec": {"memory": "much"}}]"#);
        assert_eq!(memory, "`memory` is `much`, expected bytes such as `256Mi` or `1G`");
        assert!(!wrong("{}").is_empty() && !wrong("[").is_empty());
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        let table = [
            ("0", Some(0)),
            ("128974848", Some(128_974_848)),
            ("129e6", Some(129_000_000)),
            ("129M", Some(129_000_000)),
            ("123Mi", Some(128_974_848)),
            ("1500m", Some(2)),
            ("1Ei", Some(1 << 60)),
            ("", None),
            ("Mi", None),
            ("-1", None),
            ("inf", None),
            ("1e300", None),
            ("1Kib", None),
        ];
        for (text, wanted) in table {
            assert_eq!(quantity(text), wanted, "{text}");
        }
    }
}
