//! The attributes of a node, taken one by one by what understands them: what is left over is not understood.

use bytes::Bytes;
use weir_sdk::Tensor;

use super::super::super::Fault;
use super::super::constant::printable;
use super::super::proto::{Attribute, Attributed, Graph, Node};

/// What is said to whoever has a model that needs more than this build has.
pub(super) const ADVICE: &str = "export the model without it";

/// What a node is built from.
pub(super) struct Setting {
    /// The version of the operator's domain.
    pub(super) version: i64,
    /// How many outputs are named.
    pub(super) outputs: usize,
    attributes: Vec<(String, Attributed)>,
}

impl Setting {
    pub(super) fn new(node: &mut Node, version: i64) -> Self {
        let attributes = std::mem::take(&mut node.attributes);
        let attributes = attributes.into_iter().map(|it| (it.name, it.value)).collect();
        Self { version, outputs: node.outputs.len(), attributes }
    }

    fn take(&mut self, name: &str) -> Option<Attributed> {
        let at = self.attributes.iter().position(|(it, _)| it == name)?;
        Some(self.attributes.swap_remove(at).1)
    }

    /// Returns whether it is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(it, _)| it == name)
    }

    /// Takes attributes away that make no difference here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        self.attributes.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Takes a whole number.
    pub(super) fn int(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Attributed::Int(it)) => Ok(Some(it)),
            Some(_) => Err(wrong(name, "a whole number")),
        }
    }

    /// Takes a number.
    pub(super) fn float(&mut self, name: &str) -> Result<Option<f32>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Attributed::Float(it)) => Ok(Some(it)),
            Some(_) => Err(wrong(name, "a number")),
        }
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Attributed::Text(it)) => {
                String::from_utf8(it.to_vec()).map(Some).map_err(|_| wrong(name, "a text"))
            }
            Some(_) => Err(wrong(name, "a text")),
        }
    }

    /// Takes a text as its bytes.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Option<Bytes>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Attributed::Text(it)) => Ok(Some(it)),
            Some(_) => Err(wrong(name, "a text")),
        }
    }

    /// Takes a list of whole numbers; an empty one where it is not there.
    pub(super) fn ints(&mut self, name: &str) -> Result<Vec<i64>, Fault> {
        match self.take(name) {
            None | Some(Attributed::Other(_)) => Ok(Vec::new()),
            Some(Attributed::Ints(it)) => Ok(it),
            Some(_) => Err(wrong(name, "a list of whole numbers")),
        }
    }

    /// Takes a list of numbers; an empty one where it is not there.
    pub(super) fn floats(&mut self, name: &str) -> Result<Vec<f32>, Fault> {
        match self.take(name) {
            None | Some(Attributed::Other(_)) => Ok(Vec::new()),
            Some(Attributed::Floats(it)) => Ok(it),
            Some(_) => Err(wrong(name, "a list of numbers")),
        }
    }

    /// Takes a list of texts; an empty one where it is not there.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<Bytes>, Fault> {
        match self.take(name) {
            None | Some(Attributed::Other(_)) => Ok(Vec::new()),
            Some(Attributed::Texts(it)) => Ok(it),
            Some(_) => Err(wrong(name, "a list of texts")),
        }
    }

    /// Takes a tensor.
    pub(super) fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Attributed::Tensor(mut it)) => {
                it.name = String::new();
                Ok(Some(*it))
            }
            Some(_) => Err(wrong(name, "a tensor")),
        }
    }

    /// Takes a graph.
    pub(super) fn graph(&mut self, name: &str) -> Result<Graph, Fault> {
        match self.take(name) {
            Some(Attributed::Graph(it)) => Ok(*it),
            _ => Err(wrong(name, "a graph")),
        }
    }

    /// Takes all that is left, for a function to look at.
    pub(super) fn rest(&mut self) -> Vec<Attribute> {
        let rest = std::mem::take(&mut self.attributes).into_iter();
        rest.map(|(name, value)| Attribute { name, value }).collect()
    }

    /// Says what is left over.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        match self.attributes.first() {
            // An empty list says nothing.
            None | Some((_, Attributed::Other(0))) => Ok(()),
            Some((name, _)) => Err(Fault::Unsupported {
                what: format!("its attribute `{}`", printable(name)),
                advice: ADVICE,
            }),
        }
    }
}

fn wrong(name: &str, expected: &str) -> Fault {
    Fault::malformed(format!("its attribute `{name}` is not {expected}"))
}

/// Says that an option is not served.
pub(super) fn unsupported(what: impl Into<String>) -> Fault {
    Fault::Unsupported { what: what.into(), advice: ADVICE }
}
