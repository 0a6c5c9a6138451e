-- `Backend::outcomes`: root, hash… -> flat: value, failure of each.

local failure = 'failure/' .. ARGV[2]
local flat = {}
for n = 3, #ARGV do
  local pair = call('HMGET', record(ARGV[n]), 'value', failure)
  flat[#flat + 1] = pair[1]
  flat[#flat + 1] = pair[2]
end
return flat
