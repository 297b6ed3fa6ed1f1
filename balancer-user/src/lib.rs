//! The balancer agent and its command line.
