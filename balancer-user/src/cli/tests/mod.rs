//! The command line against a stand-in for the agent.

mod documents;
mod drain;
mod failures;
mod parsing;
mod standin;
mod tables;
mod verbs;
