//! The daemon: builds everything, runs until a signal, drains.
