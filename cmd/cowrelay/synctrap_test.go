package main

const syncTrapCommand = "x"

func syncTrapLaunch([]string) {}
