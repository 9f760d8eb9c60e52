//! The arguments of the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use gradus_bench::Phase;
use std::path::PathBuf;

/// Deep learning in Rust, from tensor to endpoint.
#[derive(Debug, Parser)]
#[command(name = "gradus", version, arg_required_else_help = true, infer_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train the model of a recipe and keep the run in a directory of its own
    Train(TrainArgs),
    /// Measure the best checkpoint of a run on the test examples
    Eval(EvalArgs),
    /// Class probabilities of images (PNG, JPEG, .npy) by the best checkpoint of a run
    Predict(PredictArgs),
    /// The layers of a model with their output shapes and parameters
    Summary(SummaryArgs),
    /// The recipes, models and data sets there are
    List(ListArgs),
    /// Time training steps and inference of some nets on this machine
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// A recipe's name (see `gradus list`) or the path of a recipe file (.toml)
    pub(crate) recipe: String,
    /// The directory of the data files
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Passes over the training examples
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,
    /// Seed of initialisation, shuffling and dropout
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u32>,
    /// Change any setting of the recipe, e.g. --set optimizer.lr=0.01 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Record this many steps after the second (10 if none are named), and print and save where their time went
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "10", value_parser = steps)]
    pub(crate) profile: Option<usize>,
    /// Where run directories are made
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Print one JSON object on standard output, everything else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// A run directory, or a checkpoint file (.safetensors)
    pub(crate) run: PathBuf,
    /// The directory of the data files, if it is not the one of the run
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON object on standard output, everything else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A run directory, or a checkpoint file (.safetensors)
    pub(crate) run: PathBuf,
    /// Images of the model's input size, light strokes on dark as in the training data
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Bring pictures of another size to the model's
    #[arg(long)]
    pub(crate) resize: bool,
    /// Swap light and dark, for dark ink on light paper
    #[arg(long)]
    pub(crate) invert: bool,
    /// Print one JSON object on standard output, everything else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// A model's name (see `gradus list models`), or several to compare
    #[arg(required = true)]
    pub(crate) models: Vec<String>,
    /// The shape of one input, such as 3x224x224 (the model's own)
    #[arg(long, value_name = "CxHxW", value_parser = extents)]
    pub(crate) input: Option<Extents>,
    /// Print the graph of a model's layers instead
    #[arg(long, value_name = "FORM")]
    pub(crate) graph: Option<GraphForm>,
    /// Print one JSON object on standard output
    #[arg(long, conflicts_with = "graph")]
    pub(crate) json: bool,
}

/// The shape of one input.
#[derive(Clone, Debug)]
pub(crate) struct Extents(pub(crate) Vec<usize>);

fn extents(text: &str) -> Result<Extents, String> {
    let all: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match all {
        Ok(all) if all.len() <= 7 && all.iter().all(|n| (1..=65_536).contains(n)) => Ok(Extents(all)),
        _ => Err("it is a shape such as 3x224x224, channels first".to_string()),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GraphForm {
    /// A line for each layer
    Text,
    /// Graphviz' language
    Dot,
    /// A picture
    Svg,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only these
    pub(crate) section: Option<Section>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// What can be trained by name
    Recipes,
    /// Networks, with their parameters and multiply-accumulates
    Models,
    /// What there is to learn from
    #[value(alias = "datasets")]
    Data,
}

/// How many steps to profile.
fn steps(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one step is profiled".to_string()),
        Ok(n) => Ok(n),
        Err(_) => Err("it is a number of steps, such as 10; the recipe comes before --profile".to_string()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Workloads by name or its beginning (see --list), or the groups `core` and `more` (default: core)
    pub(crate) workloads: Vec<String>,
    /// Only training steps, or only inference
    #[arg(long, value_name = "PHASE")]
    pub(crate) phase: Option<PhaseArg>,
    /// How long each phase of a workload is timed; ten steps at least, where they take no more than thrice as long
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Keep the result in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Compare with the result that `--save` kept in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Instead of workloads, four nets at growing batches and sequences
    #[arg(long, conflicts_with_all = ["workloads", "save", "baseline", "list"])]
    pub(crate) scaling: bool,
    /// What workloads there are
    #[arg(long)]
    pub(crate) list: bool,
    /// Print one JSON object on standard output, everything else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PhaseArg {
    /// The whole training step
    Train,
    /// The forward pass without gradients
    Infer,
}

impl From<PhaseArg> for Phase {
    fn from(phase: PhaseArg) -> Phase {
        match phase {
            PhaseArg::Train => Phase::Train,
            PhaseArg::Infer => Phase::Infer,
        }
    }
}
