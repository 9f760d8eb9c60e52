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
    /// Look into a trained model: maps, filters, loss surface, curvature, invariances
    Analyze(AnalyzeArgs),
    /// What the best checkpoint of a run says of pictures, tables, texts or a series
    Predict(PredictArgs),
    /// The runs there are, side by side
    Runs(RunsArgs),
    /// The layers of a model with their output shapes and parameters
    Summary(SummaryArgs),
    /// The recipes, models and data sets there are
    List(ListArgs),
    /// Download a data set, or look at pictures, tables and texts
    Data(DataArgs),
    /// Time training steps and inference of some nets on this machine
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// A recipe's name (see `gradus list`) or the path of a recipe file (.toml)
    #[arg(required_unless_present = "resume")]
    pub(crate) recipe: Option<String>,
    /// Go on with a run that was interrupted or killed, to the weights it would have had
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "epochs", "seed", "settings", "out"])]
    pub(crate) resume: Option<PathBuf>,
    /// The directory of the data files
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Leave out pictures of a directory that cannot be read, and name them
    #[arg(long, conflicts_with = "resume")]
    pub(crate) skip_broken: bool,
    /// Passes over the training examples
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,
    /// Seed of initialisation, shuffling and dropout
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u32>,
    /// Change any setting of the recipe, e.g. --set optimizer.lr=0.01 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Begin from the weights in this file: ours, safetensors or PyTorch's (see training.new_layers, training.freeze)
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) init_from: Option<PathBuf>,
    /// Train so many times with seeds that follow each other, and report the run with the best validation accuracy
    #[arg(long, value_name = "RUNS", conflicts_with_all = ["resume", "profile"],
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) restarts: Option<u32>,
    /// Only try learning rates that rise from step to step, and say where the loss falls fastest
    #[arg(long, conflicts_with_all = ["resume", "profile", "restarts"])]
    pub(crate) find_lr: bool,
    /// Do not say which rules of thumb the run breaks
    #[arg(long)]
    pub(crate) no_hints: bool,
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
    /// Look at the four corners and the middle of each picture, and take the mean of what is said of them
    #[arg(long)]
    pub(crate) five_crop: bool,
    /// Leave out pictures of a directory that cannot be read, and name them
    #[arg(long)]
    pub(crate) skip_broken: bool,
    /// Draw the confusion matrix, ROC, precision-recall and calibration curves and the worst mistakes into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
    /// Attack the test examples with these changes of a pixel (parts of its range), as in --adversarial 0.05,0.1
    #[arg(long, value_name = "EPSILONS", value_delimiter = ',')]
    pub(crate) adversarial: Vec<f64>,
    /// Steps of the attacks that take several
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) attack_steps: usize,
    /// How many test examples are attacked
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) attacked: usize,
    /// Choose the threshold of this class, by --sensitivity or by --cost
    #[arg(long, value_name = "CLASS", requires = "choice")]
    pub(crate) positive: Option<String>,
    /// The strictest threshold with at least this sensitivity
    #[arg(long, value_name = "SHARE", requires = "positive", group = "choice", value_parser = share)]
    pub(crate) sensitivity: Option<f64>,
    /// The threshold with the least cost of all false positives and all false negatives, as in --cost 1 10
    #[arg(long, value_names = ["FP", "FN"], num_args = 2, requires = "positive", group = "choice", value_parser = cost)]
    pub(crate) cost: Option<Vec<f64>>,
    /// Print one JSON object on standard output, everything else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AnalyzeArgs {
    /// A run directory, or a checkpoint file (.safetensors); without it, the analyses there are
    pub(crate) run: Option<PathBuf>,
    /// Which analyses, as in --what tsne,hessian (default: all)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) what: Vec<String>,
    /// The directory of the data files, if it is not the one of the run
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where pictures are drawn (default: `analysis` beside the checkpoint)
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// How many test examples are looked at
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) examples: usize,
    /// Seed of random directions and beginnings
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u32,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Only these runs, by name
    pub(crate) runs: Vec<String>,
    /// Where run directories are
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Draw the metric of all these runs over their epochs into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub(crate) curves: Option<PathBuf>,
    /// What is drawn: a column of metrics.csv, such as train_loss, val_accuracy, val_r2 or lr
    #[arg(long, value_name = "NAME", default_value = "val_loss")]
    pub(crate) metric: String,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A run directory, or a checkpoint file (.safetensors)
    pub(crate) run: PathBuf,
    /// Pictures (light strokes on dark where the model learnt that), tables, texts or series, as in the training data
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Bring pictures of another size to the model's
    #[arg(long)]
    pub(crate) resize: bool,
    /// Swap light and dark, for dark ink on light paper
    #[arg(long)]
    pub(crate) invert: bool,
    /// Of a model of masks: where the mask and the overlay of each picture are written
    #[arg(long, value_name = "DIR", default_value = "predictions")]
    pub(crate) pictures: PathBuf,
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
    /// What files a recipe may learn from
    Sources,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download a data set; a download that broke off goes on where it stopped
    Get(GetArgs),
    /// What pictures of a directory, the columns of a table or the lines of a text are like, and what is odd
    Stats(StatsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// A data set's name (see `gradus list`)
    pub(crate) name: String,
    /// Where its files are put (default: data/NAME)
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Another address below which the same files lie
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// A directory of pictures, or of one directory a class; a table (CSV, TSV); or a text
    pub(crate) dir: PathBuf,
    /// Save a sheet of small pictures, a row for each class, in this PNG file
    #[arg(long, value_name = "FILE")]
    pub(crate) sheet: Option<PathBuf>,
    /// Print one JSON object on standard output, everything else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// A part of 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if (0.0..=1.0).contains(&x) => Ok(x),
        _ => Err("it is a number from 0 to 1, such as 0.95".to_string()),
    }
}

/// A cost.
fn cost(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 && x.is_finite() => Ok(x),
        _ => Err("it is a cost of at least 0, such as 10".to_string()),
    }
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
