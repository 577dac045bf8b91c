//! Options of a command line: what they stand under in the help, and which were given.

/// Headings of the help, under which the options of several commands stand.
pub const INPUTS: &str = "Inputs";
pub const MANY_PAIRS: &str = "Many pairs";
pub const LINEAR: &str = "Linear stage";
pub const NETWORK: &str = "Network";
pub const OPTIMISATION: &str = "Optimisation";
pub const MEASURES: &str = "Measures";
pub const OUTPUT: &str = "Output";
pub const GENERAL: &str = "General";

/// The names of those that were given.
pub fn given<const N: usize>(options: [(&'static str, bool); N]) -> Vec<&'static str> {
    let given = options.into_iter().filter(|(_, given)| *given);
    given.map(|(name, _)| name).collect()
}
