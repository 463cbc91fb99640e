//! Which weights an optimiser updates, and which of them decay.

use crate::params::Role;

/// Which weights an optimiser updates, and which of them decay.
///
/// Decay makes real weights of dense and convolution layers smaller. Batch-norm factors, offsets and biases never decay.
/// Latent weights do so on request only: their size says how many steps a bit is away from its flip, so that decay makes
/// the bits less steady and nothing smaller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scope {
    /// Whether latent weights are updated. Where they are not, another optimiser does it.
    pub latent: bool,
    /// Rate of the weight decay.
    pub decay: f32,
    /// Whether latent weights decay too.
    pub decay_latent: bool,
}

impl Default for Scope {
    /// All weights are updated, none decays.
    fn default() -> Self {
        Self { latent: true, decay: 0.0, decay_latent: false }
    }
}

impl Scope {
    /// Rate of the decay of tensors of this role; `None` where they are not updated.
    pub fn decay_of(self, role: Role) -> Option<f32> {
        match role {
            Role::Latent if !self.latent => None,
            Role::Latent if self.decay_latent => Some(self.decay),
            Role::Weight => Some(self.decay),
            _ => Some(0.0),
        }
    }
}
