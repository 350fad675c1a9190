import CShim

exit(Subcommand.dispatch(processArguments()).rawValue)
