//! As much of JSON Schema as Weir's own documents use. A word that is not known is a failure, so that none is passed over.

use serde_json::Value;

/// Checks that a value is as the schema says, or tells why not.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let told = schema.as_object().ok_or_else(|| format!("{schema} is no schema"))?;
    for (word, wanted) in told {
        let holds = match word.as_str() {
            "description" | "examples" | "contentEncoding" => true,
            "$ref" => return check(document, resolve(document, wanted), value),
            "type" => listed(wanted).iter().any(|it| is(value, it.as_str().unwrap())),
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|it| it >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|it| it <= wanted.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|it| it.len() as u64 >= wanted.as_u64().unwrap()),
            "minProperties" => value.as_object().is_none_or(|it| it.len() as u64 >= wanted.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|it| it.len() as u64 <= wanted.as_u64().unwrap()),
            "required" => {
                let keys = wanted.as_array().unwrap();
                value
                    .as_object()
                    .is_none_or(|it| keys.iter().all(|key| it.contains_key(key.as_str().unwrap())))
            }
            "properties" => {
                for (key, schema) in wanted.as_object().unwrap() {
                    if let Some(inner) = value.get(key) {
                        check(document, schema, inner).map_err(|why| format!("{key}: {why}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = told["properties"].as_object();
                let others = value.as_object().into_iter().flatten();
                let mut others = others.filter(|(key, _)| !known.is_some_and(|it| it.contains_key(*key)));
                match wanted {
                    Value::Bool(allowed) => *allowed || others.next().is_none(),
                    schema => others.all(|(_, it)| check(document, schema, it).is_ok()),
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(document, wanted, item)?;
                }
                true
            }
            "anyOf" => matching(document, wanted, value) > 0,
            "oneOf" => matching(document, wanted, value) == 1,
            "allOf" => matching(document, wanted, value) == wanted.as_array().unwrap().len(),
            other => return Err(format!("the word `{other}` is not known")),
        };
        if !holds {
            return Err(format!("{value} does not hold to `{word}`: {wanted}"));
        }
    }
    Ok(())
}

fn matching(document: &Value, schemas: &Value, value: &Value) -> usize {
    schemas.as_array().unwrap().iter().filter(|it| check(document, it, value).is_ok()).count()
}

fn listed(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |it| it.iter().collect())
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the type `{other}` is not known"),
    }
}

fn resolve<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} points to nothing"))
}

/// Panics when a reference anywhere in the document points to nothing.
pub(crate) fn references(document: &Value) {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref") {
                    resolve(document, reference);
                }
                fields.values().for_each(|it| walk(document, it));
            }
            Value::Array(items) => items.iter().for_each(|it| walk(document, it)),
            _ => {}
        }
    }
    walk(document, document);
}
