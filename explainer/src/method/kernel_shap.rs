//! KernelSHAP (Lundberg and Lee, NIPS 2017): how much each feature moves the prediction of an instance away from the mean
//! prediction of a background. Up to a dozen features it is exact; beyond that it samples, and tells how sure it is.

mod answer;
mod bind;
mod coalition;
mod frame;
mod given;
mod inquiry;
mod linear;
mod number;
mod options;
mod random;
mod report;
mod solve;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use weir_proto::{Error, InferRequest};
use weir_sdk::{Explain, Inquiry};

use self::frame::Frame;
use self::inquiry::Explaining;
use self::options::Options;
use super::{Method, MethodError, MethodSpec};
use crate::background::Background;

const NAME: &str = "kernel_shap";

/// The method, as the registry knows it.
#[derive(Debug)]
pub struct KernelShap;

impl Method for KernelShap {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &[&str] {
        &["KernelShap", "kernel-shap"]
    }

    fn build(&self, spec: &MethodSpec) -> Result<Box<dyn Explain>, MethodError> {
        let options = Options::read(spec.config.as_ref())?;
        let Some(folder) = &spec.folder else {
            return Err(MethodError::Folder { method: NAME, file: options.data });
        };
        let background = Background::read(&folder.join(&options.data), options.rows)?;
        options.check(&background)?;
        Ok(Box::new(Loaded { background: Arc::new(background), options: Arc::new(options) }))
    }
}

/// The method with its data and options.
#[derive(Debug)]
struct Loaded {
    background: Arc<Background>,
    options: Arc<Options>,
}

impl Explain for Loaded {
    fn begin(&self, request: &InferRequest) -> Result<Box<dyn Inquiry>, Error> {
        let frame = Frame::new(request, &self.background)?;
        Ok(Box::new(Explaining::new(frame, Arc::clone(&self.background), Arc::clone(&self.options))))
    }
}
