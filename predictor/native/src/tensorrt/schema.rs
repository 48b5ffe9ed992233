//! What an engine says of its inputs and outputs, in the lines that the shim writes.

/// An input or output of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The element type: the place in the protocol's list of them. It means nothing where the port is refused.
    pub datatype: u8,
    /// The sizes, outermost first; -1 for one that a request decides.
    pub shape: Vec<i64>,
    /// Why it cannot be served, such as `has TensorRT's element type 6`; empty where it can.
    pub refused: String,
    /// Of an input, the sizes that each profile of the engine takes.
    pub profiles: Vec<Profile>,
}

/// The sizes of an input in one of the engine's profiles, each list outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The least.
    pub least: Vec<i64>,
    /// Those that it is fastest at.
    pub best: Vec<i64>,
    /// The largest.
    pub most: Vec<i64>,
}

/// Reads the lines: inputs and outputs.
///
/// # Errors
/// The line that is not understood.
pub(super) fn read(text: &str) -> Result<(Vec<Port>, Vec<Port>), String> {
    let (mut inputs, mut outputs) = (Vec::<Port>::new(), Vec::new());
    for line in text.lines() {
        let wrong = || format!("the shim says `{line}` of an engine");
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            [side @ ("in" | "out"), name, datatype, shape, refused] => {
                let port = Port {
                    name: (*name).to_owned(),
                    datatype: datatype.parse().unwrap_or(u8::MAX),
                    shape: sizes(shape).ok_or_else(wrong)?,
                    refused: (*refused).to_owned(),
                    profiles: Vec::new(),
                };
                if *side == "in" { inputs.push(port) } else { outputs.push(port) }
            }
            ["profile", _, least, best, most] => {
                let port = inputs.last_mut().ok_or_else(wrong)?;
                let read = |text| sizes(text).filter(|it| it.len() == port.shape.len()).ok_or_else(wrong);
                let profile = Profile { least: read(least)?, best: read(best)?, most: read(most)? };
                port.profiles.push(profile);
            }
            _ => return Err(wrong()),
        }
    }
    Ok((inputs, outputs))
}

fn sizes(text: &str) -> Option<Vec<i64>> {
    text.split(',').filter(|it| !it.is_empty()).map(|it| it.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_ports_and_their_profiles() {
        let text = "in\tx\t11\t-1,3\t\nprofile\t0\t1,3\t8,3\t32,3\nprofile\t1\t33,3\t64,3\t128,3\n\
                    in\tscale\t11\t\t\nprofile\t0\t\t\t\nprofile\t1\t\t\t\n\
                    out\ty\t-1\t-1,2\thas TensorRT's element type 6\n";
        let (inputs, outputs) = read(text).unwrap();
        let [x, scale] = inputs.as_slice() else { panic!("{inputs:?}") };
        assert_eq!((x.name.as_str(), x.datatype, x.shape.as_slice()), ("x", 11, [-1, 3].as_slice()));
        assert_eq!(x.profiles[1].most, [128, 3]);
        assert_eq!((scale.shape.len(), scale.profiles[0].least.len()), (0, 0));
        assert_eq!(outputs[0].refused, "has TensorRT's element type 6");
        for wrong in
            ["in\tx\t11", "profile\t0\t1\t1\t1", "in\tx\t11\t-1\t\nprofile\t0\t1,2\t1\t1", "in\tx\t11\ta\t"]
        {
            assert!(read(wrong).unwrap_err().contains("the shim says"), "{wrong}");
        }
    }
}
