import CShim

exit(Subcommand.dispatch(processArguments()).afterOutput.rawValue)
