//! The binary as its users meet it: started as a process, spoken to over HTTP and the command line, killed and started again.

mod audit;
mod bad_input;
mod clock;
mod command_line;
mod crash;
mod erase;
mod first_run;
mod generated;
mod ledger;
mod outages;
mod places;
mod postgres;
mod problems;
mod split;
mod support;
mod transfer;
