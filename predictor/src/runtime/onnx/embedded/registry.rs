//! Every operator that the interpreter knows, by its domain and name. To add one, write its function and name it here.

use super::super::super::Fault;
use super::attributes::Setting;
use super::ml::{encode, linear, scale, svm, trees};
use super::plain::{binary, cast, choose, matmul, order, reduce, shape, texts, unary};
use super::value::Run;

/// An operator.
pub(super) struct Entry {
    /// Its domain; empty for `ai.onnx`.
    pub(super) domain: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Takes the attributes it knows and makes what computes it.
    pub(super) build: fn(&mut Setting) -> Result<Run, Fault>,
}

/// Finds an operator.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Entry> {
    OPERATORS.iter().find(|it| it.name == name && it.domain == domain)
}

const PLAIN: &str = "";
const ML: &str = "ai.onnx.ml";
const MICROSOFT: &str = "com.microsoft";

macro_rules! operators {
    ($($domain:ident $name:ident $build:path;)*) => {
        &[$(Entry { domain: $domain, name: stringify!($name), build: $build }),*]
    };
}

/// Every operator, those of graphs in graphs excepted.
pub(super) static OPERATORS: &[Entry] = operators! {
    PLAIN Abs unary::magnitude;
    PLAIN Acos unary::arc_cosine;
    PLAIN Add binary::add;
    PLAIN And binary::and;
    PLAIN ArgMax order::greatest;
    PLAIN ArgMin order::least;
    PLAIN Asin unary::arc_sine;
    PLAIN Atan unary::arc_tangent;
    PLAIN Cast cast::cast;
    PLAIN CastLike cast::cast_like;
    PLAIN Ceil unary::ceil;
    PLAIN Clip unary::clip;
    PLAIN Compress choose::compress;
    PLAIN Concat shape::concat;
    PLAIN Constant shape::constant;
    PLAIN ConstantOfShape shape::constant_of_shape;
    PLAIN Cos unary::cosine;
    PLAIN Cosh unary::hyperbolic_cosine;
    PLAIN CumSum order::running_sum;
    PLAIN Div binary::divide;
    PLAIN Dropout identity_of_first;
    PLAIN Einsum matmul::einsum;
    PLAIN Elu unary::exponential_linear;
    PLAIN Equal binary::equal;
    PLAIN Erf unary::error_function;
    PLAIN Exp unary::exp;
    PLAIN Expand shape::expand;
    PLAIN EyeLike shape::eye_like;
    PLAIN Flatten shape::flatten;
    PLAIN Floor unary::floor;
    PLAIN Gather choose::gather;
    PLAIN GatherElements choose::gather_elements;
    PLAIN GatherND choose::gather_nd;
    PLAIN Gemm matmul::gemm;
    PLAIN Greater binary::greater;
    PLAIN GreaterOrEqual binary::greater_or_equal;
    PLAIN Identity unary::identity;
    PLAIN IsInf unary::is_infinite;
    PLAIN IsNaN unary::is_not_a_number;
    PLAIN LeakyRelu unary::leaky;
    PLAIN Less binary::less;
    PLAIN LessOrEqual binary::less_or_equal;
    PLAIN Log unary::log;
    PLAIN LogSoftmax order::log_softmax;
    PLAIN LpNormalization reduce::normalized;
    PLAIN MatMul matmul::matmul;
    PLAIN Max binary::greatest;
    PLAIN Mean binary::mean;
    PLAIN Min binary::least;
    PLAIN Mod binary::modulo;
    PLAIN Mul binary::multiply;
    PLAIN Neg unary::opposite;
    PLAIN NonZero choose::not_nought;
    PLAIN Not unary::not;
    PLAIN OneHot choose::one_hot;
    PLAIN Or binary::or;
    PLAIN Pad shape::pad;
    PLAIN Pow binary::power;
    PLAIN Range shape::range_of;
    PLAIN Reciprocal unary::reciprocal;
    PLAIN ReduceL1 reduce::magnitudes;
    PLAIN ReduceL2 reduce::euclidean;
    PLAIN ReduceLogSum reduce::log_sum;
    PLAIN ReduceLogSumExp reduce::log_sum_exp;
    PLAIN ReduceMax reduce::most;
    PLAIN ReduceMean reduce::mean;
    PLAIN ReduceMin reduce::least;
    PLAIN ReduceProd reduce::product;
    PLAIN ReduceSum reduce::sum;
    PLAIN ReduceSumSquare reduce::squares;
    PLAIN Relu unary::rectified;
    PLAIN Reshape shape::reshape;
    PLAIN Round unary::round;
    PLAIN ScatterElements choose::scatter_elements;
    PLAIN ScatterND choose::scatter_nd;
    PLAIN Shape shape::shape;
    PLAIN Sigmoid unary::sigmoid_of;
    PLAIN Sign unary::sign;
    PLAIN Sin unary::sine;
    PLAIN Sinh unary::hyperbolic_sine;
    PLAIN Size shape::size;
    PLAIN Slice shape::slice;
    PLAIN Softmax order::softmax;
    PLAIN Softplus unary::softplus;
    PLAIN Softsign unary::softsign;
    PLAIN Split shape::split;
    PLAIN Sqrt unary::square_root;
    PLAIN Squeeze shape::squeeze;
    PLAIN StringConcat texts::concat;
    PLAIN StringNormalizer texts::normalizer;
    PLAIN Sub binary::subtract;
    PLAIN Sum binary::sum;
    PLAIN Tan unary::tangent;
    PLAIN Tanh unary::hyperbolic_tangent;
    PLAIN TfIdfVectorizer texts::tf_idf;
    PLAIN Tile shape::tile;
    PLAIN TopK order::top;
    PLAIN Transpose shape::transpose;
    PLAIN Unique order::unique;
    PLAIN Unsqueeze shape::unsqueeze;
    PLAIN Where choose::by_truth;
    PLAIN Xor binary::exclusive_or;
    ML ArrayFeatureExtractor scale::extractor;
    ML Binarizer scale::binarizer;
    ML CategoryMapper scale::category_mapper;
    ML DictVectorizer encode::dict_vectorizer;
    ML FeatureVectorizer scale::vectorizer;
    ML Imputer scale::imputer;
    ML LabelEncoder encode::label_encoder;
    ML LinearClassifier linear::classifier;
    ML LinearRegressor linear::regressor;
    ML Normalizer scale::normalizer;
    ML OneHotEncoder encode::one_hot_encoder;
    ML Scaler scale::scaler;
    ML SVMClassifier svm::classifier;
    ML SVMRegressor svm::regressor;
    ML TreeEnsemble trees::ensemble;
    ML TreeEnsembleClassifier trees::classifier;
    ML TreeEnsembleRegressor trees::regressor;
    ML ZipMap encode::zip_map;
    MICROSOFT CDist matmul::distances;
    MICROSOFT Tokenizer texts::tokenizer;
};

/// A layer that leaves things out while it is trained, and nothing afterwards.
fn identity_of_first(setting: &mut Setting) -> Result<Run, Fault> {
    setting.ignore(&["ratio", "seed", "is_test"]);
    if setting.outputs > 1 {
        return Err(super::attributes::unsupported("the second output"));
    }
    unary::identity(setting)
}
