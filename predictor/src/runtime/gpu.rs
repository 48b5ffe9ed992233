//! What computes a model: the processor, or a GPU. The flags of all runtimes that can are here, so that they mean the same: a GPU
//! that is asked for and not there is an error, and the processor never takes its place.

use weir_native::onnxruntime::Provider;
use weir_native::torch::CPU;

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

/// What computes PyTorch models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Cpu,
    /// NVIDIA's GPUs by CUDA: that of the number, or of `--gpu_device`.
    Cuda(Option<u32>),
}

impl Device {
    fn read(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == CPU => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(None)),
            Some(("cuda", number)) if number.bytes().all(|it| it.is_ascii_digit()) => {
                number.parse().map(|it| Self::Cuda(Some(it))).map_err(|error| error.to_string())
            }
            _ => Err("expected `cpu`, `cuda` or such as `cuda:0`".to_owned()),
        }
    }
}

/// Reads a part of a whole.
fn fraction(text: &str) -> Result<f64, String> {
    let read = text.parse().ok().filter(|it| (0.0..=1.0).contains(it));
    read.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// The flags of models for GPUs.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct GpuFlags {
    /// What computes ONNX models: `cpu`, or `cuda`, `tensorrt` or both in the order of preference; one that is not there is an
    /// error [default: cpu]
    #[arg(long = "onnx_providers", value_delimiter = ',', help_heading = GPU)]
    onnx_providers: Vec<Named>,
    /// What computes PyTorch models: `cpu`, `cuda`, or such as `cuda:0`; a GPU that is not there is an error [default: cpu]
    #[arg(long = "pytorch_device", value_parser = Device::read, help_heading = GPU)]
    pytorch_device: Option<Device>,
    /// The part of a GPU's memory that TensorFlow may take, in TensorFlow Serving's words; 0 for all [default: 0]
    #[arg(long = "per_process_gpu_memory_fraction", value_parser = fraction, help_heading = GPU)]
    memory_fraction: Option<f64>,
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
    /// Predictions of a TensorRT engine side by side; each has memory of its own on the GPU [default: 2]
    #[arg(long = "tensorrt_contexts", help_heading = GPU)]
    tensorrt_contexts: Option<usize>,
}

const GPU: &str = "GPUs";
/// One prediction is computed while another is copied.
const CONTEXTS: usize = 2;
const MOST_CONTEXTS: usize = 64;

/// What computes models, as the flags say.
#[derive(Debug, Clone, Default, PartialEq)]
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
        if let (Some(Device::Cuda(Some(named))), Some(told)) = (flags.pytorch_device, flags.gpu_device)
            && named != told
        {
            return Err(format!(
                "pytorch_device names GPU {named} and gpu_device {told}; expected one of the two, or the same"
            ));
        }
        if flags.tensorrt_contexts.is_some_and(|it| !(1..=MOST_CONTEXTS).contains(&it)) {
            return Err(format!("tensorrt_contexts is out of bounds; expected 1 to {MOST_CONTEXTS}"));
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
    pub(super) fn for_tensorrt(&self) -> Vec<Provider> {
        vec![self.tensorrt(), self.cuda()]
    }

    /// The device of PyTorch models, in PyTorch's words.
    pub(super) fn pytorch(&self) -> String {
        match self.0.pytorch_device {
            None | Some(Device::Cpu) => CPU.to_owned(),
            Some(Device::Cuda(number)) => format!("cuda:{}", number.unwrap_or_else(|| self.number())),
        }
    }

    /// The GPU that computes where one does.
    pub(super) fn number(&self) -> u32 {
        self.told().unwrap_or(0)
    }

    /// The GPU that the command line names.
    pub(super) const fn told(&self) -> Option<u32> {
        self.0.gpu_device
    }

    /// The part of a GPU's memory that TensorFlow may take; 0 for all.
    pub(super) fn memory_fraction(&self) -> f64 {
        self.0.memory_fraction.unwrap_or(0.0)
    }

    /// How many predictions of an engine of TensorRT go side by side.
    pub(super) fn contexts(&self) -> usize {
        self.0.tensorrt_contexts.unwrap_or(CONTEXTS)
    }

    fn device(&self) -> (String, String) {
        option("device_id", &self.number())
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
    fn a_device_is_read_and_its_number_is_one_of_the_two() {
        assert_eq!(Device::read("cuda:3"), Ok(Device::Cuda(Some(3))));
        for text in ["gpu", "cuda:", "cuda:-1", "cuda:+1", "cpu:0", "cuda:99999999999"] {
            assert!(Device::read(text).is_err(), "{text}");
        }
        let gpu = |device: &str, gpu_device| {
            let pytorch_device = Some(Device::read(device).unwrap());
            Gpu::try_from(GpuFlags { pytorch_device, gpu_device, ..GpuFlags::default() })
        };
        let told = |device: &str, number| gpu(device, number).unwrap().pytorch();
        assert_eq!(
            (told("cpu", Some(1)), told("cuda", Some(1)), told("cuda:2", None), told("cuda", None)),
            ("cpu".to_owned(), "cuda:1".to_owned(), "cuda:2".to_owned(), "cuda:0".to_owned())
        );
        assert_eq!(Gpu::default().pytorch(), "cpu");
        assert!(gpu("cuda:2", Some(1)).unwrap_err().contains("names GPU 2 and gpu_device 1"));
        assert!(fraction("0.5").is_ok() && fraction("1.5").is_err() && fraction("NaN").is_err());
    }

    #[test]
    fn providers_that_contradict_each_other_are_refused() {
        assert!(Gpu::try_from(flags(&[Named::Cpu, Named::Cuda])).unwrap_err().contains("after `cpu`"));
        assert!(Gpu::try_from(flags(&[Named::Cuda, Named::Cuda])).unwrap_err().contains("twice"));
    }
}
