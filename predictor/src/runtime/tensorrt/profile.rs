//! Which of an engine's profiles takes a request: it was built for ranges of sizes, and computes nothing outside of them.

use weir_native::tensorrt::{Port, Profile};

/// Returns the number of the profile that takes these shapes, of several the one whose best sizes are nearest. An engine without
/// profiles takes the sizes it has.
///
/// # Errors
/// The input whose shape no profile takes, and what they take.
pub(super) fn choose(inputs: &[Port], shapes: &[&[usize]]) -> Result<usize, String> {
    let profiles = inputs.iter().map(|it| it.profiles.len()).min().unwrap_or(0);
    if profiles == 0 {
        return Ok(0);
    }
    let given = || inputs.iter().zip(shapes);
    let fitting = (0..profiles).filter(|&at| given().all(|(port, shape)| takes(&port.profiles[at], shape)));
    let distance = |at: &usize| -> u64 {
        given().map(|(port, shape)| far(&port.profiles[*at], shape)).fold(0, u64::saturating_add)
    };
    if let Some(found) = fitting.min_by_key(distance) {
        return Ok(found);
    }
    for (port, shape) in given() {
        if !port.profiles.iter().any(|it| takes(it, shape)) {
            let ranges: Vec<_> = port.profiles.iter().map(range).collect();
            return Err(format!(
                "input `{}` has shape {shape:?}, and the engine was built for {}",
                port.name,
                ranges.join(" or ")
            ));
        }
    }
    let together = |at| {
        let ranges: Vec<_> =
            inputs.iter().map(|it| format!("`{}` {}", it.name, range(&it.profiles[at]))).collect();
        ranges.join(" with ")
    };
    let ways: Vec<_> = (0..profiles).map(together).collect();
    Err(format!(
        "inputs have shapes {shapes:?}, which the engine was not built for together, but {}",
        ways.join(", or ")
    ))
}

/// How many rows the profiles take, every number from one to that; 0 where they do not take one row.
pub(super) fn rows(inputs: &[Port]) -> usize {
    let profiles = inputs.iter().map(|it| it.profiles.len()).min().unwrap_or(0);
    let first = |sizes: &[i64]| sizes.first().copied().unwrap_or(0);
    let range = |at: usize| {
        let all = || inputs.iter().map(|it| &it.profiles[at]);
        let least = all().map(|it| first(&it.least)).max().unwrap_or(0);
        (least, all().map(|it| first(&it.most)).min().unwrap_or(0))
    };
    let ranges: Vec<(i64, i64)> = (0..profiles).map(range).collect();
    let mut taken = 0;
    while let Some((_, most)) =
        ranges.iter().find(|(least, most)| least.saturating_sub(1) <= taken && *most > taken)
    {
        taken = *most;
    }
    usize::try_from(taken).unwrap_or(0)
}

fn takes(profile: &Profile, shape: &[usize]) -> bool {
    let sizes = shape.iter().map(|&it| i64::try_from(it).unwrap_or(i64::MAX));
    shape.len() == profile.least.len()
        && sizes
            .zip(profile.least.iter().zip(&profile.most))
            .all(|(it, (least, most))| (least..=most).contains(&&it))
}

/// How far a shape is from what a profile is fastest at.
fn far(profile: &Profile, shape: &[usize]) -> u64 {
    let sizes = shape.iter().map(|&it| i64::try_from(it).unwrap_or(i64::MAX));
    sizes.zip(&profile.best).map(|(it, &best)| it.abs_diff(best)).fold(0, u64::saturating_add)
}

fn range(profile: &Profile) -> String {
    let sizes = profile.least.iter().zip(&profile.most);
    let sizes: Vec<_> = sizes
        .map(|(least, most)| if least == most { least.to_string() } else { format!("{least} to {most}") })
        .collect();
    format!("[{}]", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, profiles: &[[&[i64]; 3]]) -> Port {
        let profile = |[least, best, most]: &[&[i64]; 3]| Profile {
            least: least.to_vec(),
            best: best.to_vec(),
            most: most.to_vec(),
        };
        let profiles: Vec<_> = profiles.iter().map(profile).collect();
        let shape = vec![-1; profiles.first().map_or(0, |it| it.least.len())];
        Port { name: name.to_owned(), datatype: 11, shape, refused: String::new(), profiles }
    }

    #[test]
    fn of_the_profiles_that_take_a_shape_the_nearest_is_chosen() {
        let x = port("x", &[[&[1, 3], &[4, 3], &[32, 3]], [&[16, 3], &[32, 3], &[64, 3]]]);
        let told = |rows| choose(std::slice::from_ref(&x), &[&[rows, 3]]);
        assert_eq!((told(1), told(17), told(24), told(64)), (Ok(0), Ok(0), Ok(1), Ok(1)));
        let text = told(65).unwrap_err();
        assert_eq!(
            text,
            "input `x` has shape [65, 3], and the engine was built for [1 to 32, 3] or [16 to 64, 3]"
        );
        assert!(choose(&[x], &[&[1, 4]]).unwrap_err().contains("[1, 4]"));
        assert_eq!(choose(&[port("x", &[])], &[&[7]]), Ok(0));
        assert_eq!(choose(&[port("scale", &[[&[], &[], &[]]])], &[&[]]), Ok(0));
    }

    #[test]
    fn rows_are_those_that_profiles_take_without_a_gap() {
        let x = |profiles: &[[&[i64]; 3]]| rows(&[port("x", profiles)]);
        assert_eq!(x(&[[&[5, 3], &[6, 3], &[8, 3]], [&[1, 3], &[2, 3], &[4, 3]]]), 8);
        assert_eq!(x(&[[&[1, 3], &[2, 3], &[4, 3]], [&[6, 3], &[6, 3], &[8, 3]]]), 4);
        assert_eq!(x(&[[&[2, 3], &[2, 3], &[4, 3]]]), 0);
        assert_eq!((x(&[[&[], &[], &[]]]), x(&[])), (0, 0));
        let both = [port("x", &[[&[1], &[1], &[8]]]), port("y", &[[&[1], &[1], &[2]]])];
        assert_eq!(rows(&both), 2);
        assert_eq!(x(&[[&[1], &[1], &[i64::MAX]]]), usize::try_from(i64::MAX).unwrap());
    }

    #[test]
    fn shapes_that_fit_different_profiles_do_not_fit_together() {
        let x = port("x", &[[&[1], &[1], &[8]], [&[9], &[9], &[16]]]);
        let y = port("y", &[[&[1], &[1], &[8]], [&[9], &[9], &[16]]]);
        assert_eq!(choose(&[x.clone(), y.clone()], &[&[9], &[16]]), Ok(1));
        let text = choose(&[x, y], &[&[1], &[9]]).unwrap_err();
        assert!(
            text.contains("but `x` [1 to 8] with `y` [1 to 8], or `x` [9 to 16] with `y` [9 to 16]"),
            "{text}"
        );
    }
}
