//! Signs times real numbers on every instruction set, and the turned matrices of bits that it reads.

mod common;

use common::{Rng, SIZES, pack_rows};
use proptest::prelude::*;
use signbit_kernels::sign_gemm::{self, COLUMNS, Places, Tables};
use signbit_kernels::{Isa, bits};

/// The products with 64 rows of `b` from `word * 64` on, by the definition in the documented order.
fn products(word: usize, m: usize, k: usize, signs: &[i32], b: &[f32]) -> Vec<f32> {
    let of = |i: usize| {
        let product =
            |l: usize| if l < k { signs[i / COLUMNS * k + l] as f32 * b[l * COLUMNS + i % COLUMNS] } else { 0.0 };
        let fours = (word * 64..k.min(word * 64 + 64)).step_by(4);
        fours.fold(0.0f32, |sum, l| sum + ((product(l) + product(l + 1)) + (product(l + 2) + product(l + 3))))
    };
    (0..m * COLUMNS).map(of).collect()
}

/// Rows side by side, and those of two parts added to what is there, at places that overlap.
fn check(m: usize, k: usize, seed: u64) -> Result<(), String> {
    let mut rng = Rng(seed);
    let (signs, b) = (rng.signs(2 * m * k), rng.floats(k * COLUMNS));
    let rows = if k == 0 { vec![] } else { pack_rows(&signs, k) };
    let half = rows.len() / 2;
    let (starts, step) = ([5, 12], 19);
    let before = rng.floats(m * step + 40);
    let (mut expected, mut added) = (vec![0.0; m * COLUMNS], before.clone());
    for word in 0..bits::words(k) {
        for (part, start) in starts.into_iter().enumerate() {
            let products = products(word, m, k, &signs[part * m * k..], &b);
            for (i, product) in products.iter().enumerate() {
                added[start + i / COLUMNS * step + i % COLUMNS] += product;
            }
            if part == 0 {
                expected.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
            }
        }
    }
    let mut tables = Tables::default();
    for isa in Isa::all() {
        let mut out = vec![f32::NAN; m * COLUMNS];
        sign_gemm::panel(isa, m, k, &rows[..half], &b, &mut tables, &mut out);
        let mut all = before.clone();
        sign_gemm::add_panel(isa, 2 * m, k, &rows, &b, Places { starts: &starts, step }, &mut tables, &mut all);
        if out != expected || all != added {
            return Err(format!("{} of {m} x {k}", isa.name()));
        }
    }
    Ok(())
}

#[test]
fn products_of_interesting_sizes() {
    let failures: Vec<String> = SIZES
        .into_iter()
        .chain([0, 4, 60, 61, 192, 200])
        .flat_map(|k| [0, 1, 3, 8, 9, 21].map(|m| check(m, k, (k * 100 + m) as u64)))
        .filter_map(Result::err)
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

proptest! {
    #[test]
    fn products_of_random_sizes(m in 0..40usize, k in 0..300usize, seed: u64) {
        prop_assert_eq!(check(m, k, seed), Ok(()));
    }

    #[test]
    fn a_turned_matrix_has_every_bit_in_its_place(rows in 0..150usize, columns in 1..150usize, seed: u64) {
        let signs = Rng(seed).signs(rows * columns);
        let turned: Vec<i32> = (0..rows * columns).map(|i| signs[i % rows * columns + i / rows]).collect();
        let mut x = pack_rows(&signs, columns);
        // What lies behind the last column does not matter.
        if columns % 64 > 0 {
            x.iter_mut().skip(columns / 64).step_by(bits::words(columns)).for_each(|word| *word |= u64::MAX << (columns % 64));
        }
        let mut out = vec![u64::MAX; columns * bits::words(rows)];
        bits::transpose(rows, columns, &x, &mut out);
        prop_assert_eq!(out, if rows == 0 { vec![] } else { pack_rows(&turned, rows) });
    }
}

#[test]
#[should_panic(expected = "3 words for 2 rows of 65 signs")]
fn rows_of_another_length_are_refused() {
    sign_gemm::panel(
        Isa::best(),
        2,
        65,
        &[0; 3],
        &[0.0; 65 * COLUMNS],
        &mut Tables::default(),
        &mut [0.0; 2 * COLUMNS],
    );
}

#[test]
#[should_panic(expected = "2 words for 1 rows of 2 bits")]
fn a_turned_matrix_of_another_size_is_refused() {
    bits::transpose(1, 2, &[0; 2], &mut [0; 2]);
}

#[test]
#[should_panic(expected = "rows end at Some(37) of 36 numbers")]
fn places_beyond_the_output_are_refused() {
    let places = Places { starts: &[0, 5], step: 16 };
    sign_gemm::add_panel(Isa::best(), 4, 1, &[0; 4], &[0.0; COLUMNS], places, &mut Tables::default(), &mut [0.0; 36]);
}

#[test]
#[should_panic(expected = "3 rows in 2 parts")]
fn uneven_parts_are_refused() {
    let places = Places { starts: &[0, 5], step: 16 };
    sign_gemm::add_panel(Isa::best(), 3, 1, &[0; 3], &[0.0; COLUMNS], places, &mut Tables::default(), &mut [0.0; 64]);
}
