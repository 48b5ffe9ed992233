//! What computes a model: the processor, or a GPU by one of ONNX Runtime's providers.

use weir_native::onnxruntime::Provider;

/// Who is asked to compute ONNX models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Named {
    /// The processor.
    Cpu,
    /// NVIDIA's GPUs by CUDA.
    Cuda,
    /// NVIDIA's GPUs by TensorRT.
    Tensorrt,
}

/// The flags of models for GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct GpuFlags {
    /// What computes ONNX models: `cpu`, or `cuda`, `tensorrt` or both in the order of preference; one that is not there is an
    /// error [default: cpu]
    #[arg(long = "onnx_providers", value_delimiter = ',', help_heading = GPU)]
    onnx_providers: Vec<Named>,
    /// The GPU that computes, from 0 [default: 0]
    #[arg(long = "gpu_device", help_heading = GPU)]
    gpu_device: Option<u32>,
    /// The folder where TensorRT keeps the engines it builds: without it each start builds anew
    #[arg(long = "tensorrt_engine_cache", help_heading = GPU)]
    tensorrt_engine_cache: Option<String>,
    /// TensorRT may compute in half precision
    #[arg(long = "tensorrt_fp16", help_heading = GPU)]
    tensorrt_fp16: bool,
    /// The bytes of GPU memory that TensorRT may use while it builds
    #[arg(long = "tensorrt_max_workspace", help_heading = GPU)]
    tensorrt_max_workspace: Option<u64>,
}

const GPU: &str = "GPUs";

/// What computes ONNX and TensorRT models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpu(GpuFlags);

impl TryFrom<GpuFlags> for Gpu {
    type Error = String;

    fn try_from(flags: GpuFlags) -> Result<Self, String> {
        let named = &flags.onnx_providers;
        if named.iter().enumerate().any(|(at, it)| named[..at].contains(it)) {
            return Err("onnx_providers names one twice; expected each once".to_owned());
        }
        if named.iter().rev().skip(1).any(|it| *it == Named::Cpu) {
            return Err("onnx_providers names one after `cpu`, which computes everything; expected it last"
                .to_owned());
        }
        Ok(Self(flags))
    }
}

impl Gpu {
    /// The providers asked for, in order; the processor, which is always there, is none of them.
    pub(super) fn providers(&self) -> Vec<Provider> {
        let named = self.0.onnx_providers.iter();
        named
            .filter_map(|it| match it {
                Named::Cpu => None,
                Named::Cuda => Some(self.cuda()),
                Named::Tensorrt => Some(self.tensorrt()),
            })
            .collect()
    }

    /// TensorRT, and CUDA for what it cannot compute.
    pub(in super::super) fn for_tensorrt(&self) -> Vec<Provider> {
        vec![self.tensorrt(), self.cuda()]
    }

    fn device(&self) -> (String, String) {
        option("device_id", &self.0.gpu_device.unwrap_or(0))
    }

    fn cuda(&self) -> Provider {
        Provider::Cuda(vec![self.device()])
    }

    fn tensorrt(&self) -> Provider {
        let mut options = vec![self.device()];
        if let Some(folder) = &self.0.tensorrt_engine_cache {
            options.push(option("trt_engine_cache_enable", &1));
            options.push(option("trt_engine_cache_path", folder));
        }
        if self.0.tensorrt_fp16 {
            options.push(option("trt_fp16_enable", &1));
        }
        options.extend(self.0.tensorrt_max_workspace.map(|it| option("trt_max_workspace_size", &it)));
        Provider::TensorRt(options)
    }
}

fn option(key: &str, value: &impl ToString) -> (String, String) {
    (key.to_owned(), value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(onnx_providers: &[Named]) -> GpuFlags {
        GpuFlags { onnx_providers: onnx_providers.to_vec(), ..GpuFlags::default() }
    }

    #[test]
    fn providers_keep_their_order_and_options_their_names() {
        let told = GpuFlags {
            gpu_device: Some(1),
            tensorrt_engine_cache: Some("/cache".to_owned()),
            tensorrt_fp16: true,
            tensorrt_max_workspace: Some(1 << 30),
            ..flags(&[Named::Tensorrt, Named::Cuda, Named::Cpu])
        };
        let gpu = Gpu::try_from(told).unwrap();
        let options = [
            option("device_id", &1),
            option("trt_engine_cache_enable", &1),
            option("trt_engine_cache_path", &"/cache"),
            option("trt_fp16_enable", &1),
            option("trt_max_workspace_size", &(1_u64 << 30)),
        ];
        let want = [Provider::TensorRt(options.to_vec()), Provider::Cuda(vec![option("device_id", &1)])];
        assert_eq!(gpu.providers(), want);
        assert_eq!(gpu.for_tensorrt(), want);
        assert!(Gpu::default().providers().is_empty());
    }

    #[test]
    fn providers_that_contradict_each_other_are_refused() {
        assert!(Gpu::try_from(flags(&[Named::Cpu, Named::Cuda])).unwrap_err().contains("after `cpu`"));
        assert!(Gpu::try_from(flags(&[Named::Cuda, Named::Cuda])).unwrap_err().contains("twice"));
    }
}
