/** The shells that completion is made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

// Each asks the command itself at every TAB: it knows its plugins' commands, and the server's VMs.
const BASH = String.raw`# Completion of @BIN@ for bash. Load it with:  source <(@BIN@ completion bash)
_@FUNCTION@_completion() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :files) compopt -o default 2>/dev/null; COMPREPLY=(); return ;;
      ?*) COMPREPLY+=("\${line%%$'\t'*}") ;;
    esac
  done < <(@BIN@ complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _@FUNCTION@_completion @BIN@
`;

const ZSH = String.raw`#compdef @BIN@
# Completion of @BIN@ for zsh. Load it with:  source <(@BIN@ completion zsh)
_@FUNCTION@_completion() {
  local -a lines described
  local line
  lines=("\${(@f)$(@BIN@ complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in "\${lines[@]}"; do
    [[ $line == ':files' ]] && { _files; return }
    [[ -n $line ]] && described+=("\${\${line%%$'\t'*}//:/\\:}:\${line#*$'\t'}")
  done
  (( $#described )) && _describe -V '@BIN@' described
}
compdef _@FUNCTION@_completion @BIN@
`;

const FISH = String.raw`# Completion of @BIN@ for fish. Load it with:  @BIN@ completion fish | source
function __@FUNCTION@_completion
    set -l words (commandline -opc) (commandline -ct)
    for line in (@BIN@ complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = ':files'
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c @BIN@ -f -a '(__@FUNCTION@_completion)'
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

/** The script that a shell loads to complete the command line of `bin`. */
export const completionScript = (shell: Shell, bin: string): string =>
  SCRIPTS[shell]
    .replaceAll("\\${", "${")
    .replaceAll("@BIN@", bin)
    .replaceAll("@FUNCTION@", bin.replace(/[^A-Za-z0-9_]/g, "_"));
