-- Stands before every script. It names no keys; what belongs to versions is in files that scripts include.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A number of milliseconds as Redis has to get it: in digits, never as 1.7e+12.
local function ms(value)
  return string.format('%.0f', value)
end

-- A list from its element `first` on; `unpack` can't do that with thousands of them.
local function rest_of(list, first)
  local rest = {}
  for i = first, #list do rest[#rest + 1] = list[i] end
  return rest
end
