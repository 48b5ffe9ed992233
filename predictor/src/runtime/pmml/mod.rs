//! PMML: predictive models as XML, read and evaluated natively. No code runs, and what is not known is refused when the file is
//! loaded, with its place.

mod bayes;
mod clustering;
mod compiled;
mod document;
mod expression;
mod frame;
mod function;
mod general;
mod link;
mod mining;
mod model;
mod network;
mod output;
mod plan;
mod predicate;
mod regression;
mod schema;
mod scorecard;
mod support;
mod target;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod xml;

use std::path::Path;

use weir_sdk::Model;

use self::compiled::Compiled;
use self::document::Document;
use self::model::Evaluator;
use self::plan::{Loader, Scope};
use self::xml::Element;
use super::fault::{self, Fault};
use super::{LoadError, LoadOptions, Runtime};

/// The PMML runtime.
pub struct Pmml;

impl Runtime for Pmml {
    fn name(&self) -> &'static str {
        "pmml"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pmml"]
    }

    fn load(&self, file: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        fault::load(file, |bytes| read(bytes, options.predict_proba))
    }
}

fn read(bytes: &[u8], probabilities_first: bool) -> Result<Evaluator, Fault> {
    let text = xml::decode(bytes)?;
    let document = Document::parse(&text)?;
    let root = Element::root(&document);
    if root.name() != "PMML" {
        return Err(root.malformed("is not the <PMML> that was expected"));
    }
    if !root.require("version")?.starts_with(['3', '4']) {
        return Err(root.unsupported("the version"));
    }
    let mut loader = Loader::of(text.len());
    loader.read_data(root.needed("DataDictionary")?)?;
    let element = compiled::within(root)?;
    let dictionary = root.child("TransformationDictionary");
    let scope = Scope::new(None);
    let compiled = Compiled::read(element, &scope, None, &mut loader, dictionary)?;
    loader.check_depth()?;
    Ok(Evaluator::new(compiled, loader, probabilities_first))
}
