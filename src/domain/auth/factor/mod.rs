//! What can be proved in a sign-in: one file a factor. Each judges what was given and says what is told, recorded and counted.

pub mod password;
