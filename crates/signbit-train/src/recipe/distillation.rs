//! What a recipe says of a teacher.

use serde::{Deserialize, Serialize};

use crate::range::OutOfRange;

/// A network that this one learns from, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// The folder of the teacher's run; "" for none.
    pub teacher: String,
    /// Share of the teacher in the loss, 0 to 1; the classes have the rest.
    pub weight: f32,
    /// Divides both networks' outputs before they are compared.
    pub temperature: f32,
    /// Layers whose attention maps are compared too, by their names.
    pub maps: Vec<String>,
    /// What the sum of these comparisons is multiplied by.
    pub maps_weight: f32,
}

impl Default for Distillation {
    /// No teacher.
    fn default() -> Self {
        Self { teacher: String::new(), weight: 0.5, temperature: 4.0, maps: vec![], maps_weight: 1.0 }
    }
}

impl Distillation {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the one that is out of range.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        let (weight, temperature) = (self.weight, self.temperature);
        OutOfRange::unless((0.0..=1.0).contains(&weight), "weight of the distillation", weight, "from 0 to 1")?;
        let ok = (0.1..=1000.0).contains(&temperature);
        OutOfRange::unless(ok, "temperature of the distillation", temperature, "from 0.1 to 1000")?;
        let (maps, ok) = (self.maps_weight, (0.0..=1e6).contains(&self.maps_weight));
        OutOfRange::unless(ok, "weight of the attention maps", maps, "from 0 to 1000000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range() {
        let good = Distillation::default();
        assert!(good.validate().is_ok());
        let bad = [
            ("weight", Distillation { weight: 1.5, ..good.clone() }),
            ("weight", Distillation { weight: f32::NAN, ..good.clone() }),
            ("maps", Distillation { maps_weight: -1.0, ..good.clone() }),
            ("temperature", Distillation { temperature: 0.0, ..good.clone() }),
        ];
        for (word, distillation) in bad {
            let message = distillation.validate().unwrap_err().to_string();
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}
