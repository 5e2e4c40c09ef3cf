"""Third stage: every name gets the source of its value: node, variable, input …"""
