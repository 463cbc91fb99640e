//! The training loop: epochs over shuffled batches, evaluation after each, events for whoever shows the progress.

mod feed;
mod find_rate;
mod together;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rayon::{ThreadPool, ThreadPoolBuilder};
use signbit_model::ModelError;

use feed::{Batch, Feed, Loader};
pub use find_rate::{FoundRate, RateRange, TriedRate};

use crate::checkpoint::{EpochRecord, Header, Loaded, Underway};
use crate::data::{DataSet, Pictures, epoch_order, main_classes};
use crate::gradients;
use crate::latents;
use crate::loss::classes_of;
use crate::network::Network;
use crate::objective;
use crate::op::Mode;
use crate::optim::{Optimizer, Schedule, clip_norm};
use crate::params::Params;
use crate::range::OutOfRange;
use crate::ranks::{Exchange, Ranks, TooManyRanks};
use crate::recipe::Recipe;
use crate::start::{self, BuildsOnError, Teacher};
use crate::tensor::Tensor;
use crate::zoo::{self, ZooError};

/// Samples per forward pass in evaluation.
const EVAL_BATCH: usize = 250;

/// A training that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network cannot be built.
    #[error(transparent)]
    Zoo(#[from] ZooError),
    /// Fewer training pictures than a batch needs.
    #[error("a batch has {batch} pictures, the data only {pictures}; choose a smaller batch")]
    Batch {
        /// The recipe's.
        batch: usize,
        /// The data's.
        pictures: usize,
    },
    /// The loss or a weight is no longer a finite number.
    #[error("the training has diverged in epoch {epoch}; a lower learning rate than {learning_rate} may help")]
    Diverged {
        /// Counted from 1.
        epoch: u32,
        /// The recipe's highest.
        learning_rate: f32,
    },
    /// The data has another number of pictures than when the run was begun.
    #[error("the data has changed since the run was begun: its epochs had another number of steps than {steps}")]
    Changed {
        /// Steps of an epoch on this data.
        steps: usize,
    },
    /// A number of the rates to try is out of range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// The threads cannot be started.
    #[error("cannot start {0} threads")]
    Threads(usize),
    /// The pictures do not fit the preprocessing.
    #[error(transparent)]
    Pictures(#[from] ModelError),
    /// A batch has too few parts for all ranks.
    #[error(transparent)]
    Ranks(#[from] TooManyRanks),
    /// The run whose weights are the first, or the teacher's, cannot be used.
    #[error(transparent)]
    BuildsOn(#[from] BuildsOnError),
}

/// What happens in a training.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A step is done.
    Step {
        /// Counted from 1.
        epoch: u32,
        /// Steps done in this epoch.
        step: usize,
        /// Steps of an epoch.
        steps: usize,
        /// Mean loss of the epoch so far.
        loss: f64,
        /// Share of this epoch's samples classified right so far.
        accuracy: f64,
    },
    /// An epoch is done.
    Epoch {
        /// Its figures.
        record: &'a EpochRecord,
        /// Wall time of its training steps. It stands in no record, so that equal seeds give equal checkpoints.
        seconds: f64,
    },
}

/// A training that goes on epoch by epoch.
pub struct Trainer<'d> {
    /// What is trained, and the record of what was done.
    pub header: Header,
    /// The network.
    pub network: Network,
    /// The optimiser.
    pub optimizer: Box<dyn Optimizer>,
    data: &'d DataSet,
    teacher: Option<Teacher>,
    pool: ThreadPool,
    stop: Arc<AtomicBool>,
}

impl<'d> Trainer<'d> {
    /// A training of `recipe` from its initial weights, or from those of the run that the recipe names.
    ///
    /// # Errors
    /// Where the recipe is wrong or does not fit the data, or a run that it names does not fit.
    pub fn new(recipe: Recipe, data: &'d DataSet, threads: usize) -> Result<Self, TrainError> {
        let mut network = zoo::build(&recipe, data.train.shape, data.classes.len())?;
        let mut optimizer = recipe.build_optimizer();
        if !recipe.init.is_empty() {
            start::take_weights(&mut network, &recipe.init)?;
        }
        optimizer.begin(network.params_mut());
        if recipe.average > 0.0 {
            network.params_mut().begin_average(recipe.average);
            network.params_mut().use_average(true);
        }
        let preprocessing = data.preprocessing();
        let header = Header::new(recipe, data.name.clone(), data.train.shape, data.classes.clone(), preprocessing);
        Self::from_loaded(Loaded { header, network, optimizer }, data, threads)
    }

    /// A training that goes on where a checkpoint was written.
    ///
    /// # Errors
    /// Where a batch is larger than the data, an epoch of the data has not as many steps as those that are done, or the
    /// teacher is not what it was.
    pub fn from_loaded(loaded: Loaded, data: &'d DataSet, threads: usize) -> Result<Self, TrainError> {
        let Loaded { mut header, network, optimizer } = loaded;
        let (batch, pictures) = (header.recipe.batch, data.train.len());
        if batch > pictures {
            return Err(TrainError::Batch { batch, pictures });
        }
        let steps = pictures / batch;
        let underway = header.underway.as_ref().map_or(0, |underway| underway.steps);
        let done = header.history.len() as u64 * steps as u64 + underway as u64;
        if underway >= steps || done != optimizer.state().0 {
            return Err(TrainError::Changed { steps });
        }
        let teacher = Teacher::of(&mut header, &network, data)?;
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|_| TrainError::Threads(threads))?;
        Ok(Self { header, network, optimizer, data, teacher, pool, stop: Arc::default() })
    }

    /// Whether all epochs are done, or the recipe's patience has run out.
    pub fn finished(&self) -> bool {
        self.header.history.len() >= self.header.recipe.epochs as usize || self.header.stopped_early()
    }

    /// Lets `stop` end an epoch after the step that is under way.
    pub fn stop_on(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    /// Shares each batch with the other ranks of `exchange`, if there are any: all of them train the same network to the
    /// same weights, the ones that a rank alone would reach, to the bit. Each of them has to have built, or loaded, the same
    /// trainer; [`Trainer::fingerprint`] tells. A stop that one rank is asked for ends the epoch on all.
    ///
    /// # Errors
    /// Where there are more ranks than parts of a batch.
    pub fn share(&mut self, exchange: Arc<dyn Exchange>) -> Result<(), TrainError> {
        let ranks = if exchange.size() > 1 { Some(Ranks::new(exchange, self.header.recipe.batch)?) } else { None };
        self.network.set_ranks(ranks);
        Ok(())
    }

    /// A checksum of what a training begins with: recipe, weights, optimiser, how far it is, and the names of the data.
    pub fn fingerprint(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        let header = &self.header;
        sum.update(header.recipe.to_toml().as_bytes());
        let pictures = (self.data.train.len(), self.data.test.len(), header.history.len());
        let names = (&header.data, &header.classes, &header.preprocessing, header.teacher, self.optimizer.state().0);
        sum.update(format!("{pictures:?} {names:?}").as_bytes());
        let params = self.network.params();
        params.values().iter().chain(params.states()).for_each(|x| sum.update(&x.to_le_bytes()));
        sum.finalize()
    }

    /// Whether the training was told to stop, on any rank; all of them have to call this.
    pub fn told_to_stop(&self) -> bool {
        let stop = self.stop.load(Ordering::Relaxed);
        self.network.ranks().map_or(stop, |ranks| ranks.any(stop))
    }

    /// Trains one epoch, or what is left of one that was stopped, evaluates, and adds the record to the header. The last
    /// incomplete batch of an epoch is left out. Returns whether the epoch was ended: where it was stopped, the header
    /// says how far it is, and a checkpoint goes on there to the same weights.
    ///
    /// # Errors
    /// Where a loss or a weight is no longer finite.
    pub fn epoch(&mut self, seen: &mut dyn FnMut(Event<'_>)) -> Result<bool, TrainError> {
        // Outside of an epoch the averages are in use, inside of it the numbers that are trained.
        self.network.params_mut().use_average(false);
        let ended = self.train(seen);
        self.network.params_mut().use_average(true);
        ended
    }

    fn train(&mut self, seen: &mut dyn FnMut(Event<'_>)) -> Result<bool, TrainError> {
        let recipe = self.header.recipe.clone();
        let done = self.header.history.len() as u32;
        let epoch = done + 1;
        let order = epoch_order(self.data.train.len(), recipe.seed, done);
        let steps = order.len() / recipe.batch;
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warmup: (recipe.warmup_epochs * steps as f32) as u64,
            decay: recipe.decay,
            total: u64::from(recipe.epochs) * steps as u64,
        };
        let diverged = TrainError::Diverged { epoch, learning_rate: recipe.learning_rate };
        let start = Instant::now();
        self.network.set_progress(done as f32 / recipe.epochs as f32);
        let params = self.network.params();
        let Underway { steps: before, mut loss, mut right, signs, mut gradient_norms, mut reached } =
            self.header.underway.take().unwrap_or_else(|| Underway::of(params));
        let (mut rate, mut squares) = (0.0, Vec::new());
        let preprocessing = self.header.preprocessing.clone();
        let loader = Loader::new(self.data, &recipe, &preprocessing, done).only(self.network.ranks().map(Ranks::own));
        let mut feed = Feed::new(loader, &order, recipe.batch, before);
        for i in before..steps {
            rate = schedule.at(u64::from(done) * steps as u64 + i as u64);
            let look = &mut |params: &Params| squares = gradients::look(params, &mut reached);
            let Some(Done { loss: mean, hits, stop }) = self.step(&recipe, &mut feed, rate, look)? else { break };
            let norm = squares.iter().sum::<f64>().sqrt();
            if !mean.is_finite() || !norm.is_finite() {
                return Err(diverged);
            }
            gradient_norms = gradient_norms.map(|sum| sum + norm);
            loss += mean * recipe.batch as f64;
            right += hits;
            let trained = ((i + 1) * recipe.batch) as f64;
            let (loss_so_far, accuracy) = (loss / trained, right as f64 / trained);
            seen(Event::Step { epoch, step: i + 1, steps, loss: loss_so_far, accuracy });
            // Ranks stop where all of them knew of it during the step; alone, the last word counts.
            let stop = if self.network.ranks().is_some() { stop } else { self.stop.load(Ordering::Relaxed) };
            if i + 1 < steps && stop {
                self.header.underway = Some(Underway { steps: i + 1, loss, right, signs, gradient_norms, reached });
                return Ok(false);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        if self.network.params().values().iter().any(|v| !v.is_finite()) {
            return Err(diverged);
        }
        let trained = (steps * recipe.batch) as f64;
        self.network.params_mut().use_average(true);
        let (test_loss, test_accuracy) = self.evaluate(&self.data.test)?;
        if !test_loss.is_finite() {
            return Err(diverged);
        }
        let record = EpochRecord {
            epoch,
            loss: loss / trained,
            train_accuracy: right as f64 / trained,
            test_accuracy,
            test_loss,
            learning_rate: rate,
            flips: latents::flips(self.network.params(), &signs),
            histogram: latents::histogram(self.network.params()),
            dead: gradients::dead(self.network.params(), &reached),
            saturated: latents::saturated(self.network.params()),
            gradient_norm: gradient_norms.map(|sum| sum / steps as f64),
            gradients: gradients::norms(self.network.params(), &squares),
        };
        self.header.history.push(record.clone());
        seen(Event::Epoch { record: &record, seconds });
        Ok(true)
    }

    /// One step on the feed's next batch: forward, loss, backward, update; meanwhile the batch after it is made. The
    /// parameters are shown to `seen` with their gradients, before these are clipped. `None` where the feed has ended.
    fn step(
        &mut self,
        recipe: &Recipe,
        feed: &mut Feed<'_>,
        rate: f32,
        seen: &mut (dyn FnMut(&Params) + Send),
    ) -> Result<Option<Done>, TrainError> {
        let Self { network, optimizer, pool, teacher, stop, .. } = self;
        let Feed { loader, rest, ready } = feed;
        let mut next =
            |network: &mut Network| rest.next().map(|(i, of)| (i, of, network.input_buffer(loader.samples(of.len()))));
        let now = match ready.take() {
            Some(batch) => Some(batch),
            None => next(network).map(|(i, of, to)| pool.install(|| loader.load(i, of, to))).transpose()?,
        };
        let Some(Batch { input, labels, share }) = now else { return Ok(None) };
        let after = next(network);
        let loader = &*loader;
        let (done, made) = pool.install(|| {
            let step = || {
                let maps = if teacher.is_some() { &recipe.distillation.maps[..] } else { &[] };
                let (n, shape) = (input.n, input.shape);
                let taught = teacher.as_mut().map(|teacher| teacher.outputs(n, shape, &input.data, maps));
                let (output, own) = start::seen(network, input, Mode::Train, maps);
                let ranks = network.ranks().cloned();
                // The loss is the whole batch's, which all ranks compute alike: outputs are few.
                let (scores, stop) = together::whole(ranks.as_ref(), &output, stop.load(Ordering::Relaxed));
                let hits = classes_of(&scores).zip(main_classes(&labels, share)).filter(|(a, b)| a == b).count();
                let buffers = network.buffers();
                let by = taught.as_ref().map(|(outputs, _)| together::whole(ranks.as_ref(), outputs, false).0);
                let (mut value, grad) = objective::of_step(recipe, buffers, &scores, &labels, share, by.as_deref());
                let grad = together::own(ranks.as_ref(), buffers, grad);
                drop((scores, by));
                let mut inner = Vec::new();
                if let (Some(teacher), Some((outputs, its))) = (teacher, taught) {
                    let weight = recipe.distillation.maps_weight;
                    let (of_maps, grads) = objective::of_maps(weight, ranks.as_ref(), buffers, &own, &its);
                    (value, inner) = (value + of_maps, grads);
                    teacher.recycle(outputs);
                }
                network.backward_with(output, grad, inner);
                let params = network.params_mut();
                seen(params);
                if recipe.clip_norm > 0.0 {
                    clip_norm(params, recipe.clip_norm);
                }
                optimizer.step(params, rate);
                params.follow_average(optimizer.state().0);
                Done { loss: value, hits, stop }
            };
            rayon::join(step, || after.map(|(i, of, to)| loader.load(i, of, to)).transpose())
        });
        *ready = made?;
        Ok(Some(done))
    }

    /// Mean loss over `pictures`, and the share that the network classifies right, in evaluation mode. Ranks share the
    /// pictures, and all of them have to call this.
    ///
    /// # Errors
    /// Where the pictures do not fit the preprocessing.
    pub fn evaluate(&mut self, pictures: &Pictures) -> Result<(f64, f64), TrainError> {
        let all: Vec<usize> = (0..pictures.len()).collect();
        let own = self.network.ranks().map_or(0..usize::MAX, |ranks| ranks.tasks(all.len().div_ceil(EVAL_BATCH)));
        let mut figures = Vec::new();
        for indices in all.chunks(EVAL_BATCH).take(own.end).skip(own.start) {
            let mut input = self.network.input_buffer(indices.len());
            pictures.write(indices, &self.header.preprocessing, &mut input)?;
            let labels: Vec<u32> = indices.iter().map(|&i| pictures.labels[i]).collect();
            let Self { network, pool, header, .. } = self;
            let input = Tensor::new(indices.len(), network.input_shape(), input);
            let output = pool.install(|| network.forward(input, Mode::Eval));
            let right = classes_of(&output).zip(&labels).filter(|(a, b)| a == *b).count();
            let (value, grad) = objective::plain(header.recipe.loss, network.buffers(), &output, &labels);
            figures.push((value * indices.len() as f64, right));
            network.recycle(grad);
            network.recycle(output);
        }
        if let Some(ranks) = self.network.ranks() {
            figures = together::figures(ranks, &figures, all.len().div_ceil(EVAL_BATCH));
        }
        let loss: f64 = figures.iter().map(|(loss, _)| loss).sum();
        let right: usize = figures.iter().map(|(_, right)| right).sum();
        let n = pictures.len().max(1) as f64;
        Ok((loss / n, right as f64 / n))
    }
}

/// What a step has found.
struct Done {
    /// Mean over the batch.
    loss: f64,
    /// How many samples were right.
    hits: usize,
    /// Whether this is to be the last step for now.
    stop: bool,
}
